import { useSyncExternalStore } from "react";
import { Preference } from "../../preferences.ts";
import { type ColumnName, columnNames } from "./query.ts";

export const density = new Preference<"middle" | "small">("orders.density", ["middle", "small"], () => "middle");

/** The columns that are hidden until somebody asks for them. */
const rare: readonly ColumnName[] = ["created_at"];

/** Which columns are shown; the name always is. */
export const columns = Object.fromEntries(
  columnNames.map((name) => [
    name,
    new Preference<"shown" | "hidden">(`orders.column.${name}`, ["shown", "hidden"], () =>
      rare.includes(name) ? "hidden" : "shown",
    ),
  ]),
) as Record<ColumnName, Preference<"shown" | "hidden">>;

const listen = (listener: () => void) => {
  const ends = columnNames.map((name) => columns[name].listen(listener));
  return () => {
    for (const end of ends) end();
  };
};
const shown = () => columnNames.filter((name) => name === "name" || columns[name].get() === "shown").join();

/** The columns that are shown, in their order. */
export const useShownColumns = () => useSyncExternalStore(listen, shown).split(",") as ColumnName[];
