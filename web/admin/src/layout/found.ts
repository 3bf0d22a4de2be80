import { useTranslate } from "@refinedev/core";
import { useQueries } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { useFormat } from "../i18n/format.ts";
import { resonance } from "../resonance.ts";
import type { Choice } from "./commands.tsx";

const few = 5; // records of a kind that are offered

/** What is searched, as each list searches, and what tells records of the same name apart. */
const searched = [
  { resource: "orders", note: ["customer"] },
  { resource: "sales", note: ["partner", "client_order_ref"] },
  { resource: "products", note: ["default_code", "barcode"] },
  { resource: "customers", note: ["email", "city"] },
  { resource: "suppliers", note: ["email", "city"] },
] as const;

/** The records that fit a text, of every kind. What cannot be searched now is left out. */
export function useFound(text: string): { found: Choice[]; busy: boolean } {
  const t = useTranslate();
  const { number } = useFormat();
  const navigate = useNavigate();
  const enabled = text.length > 1;
  const answers = useQueries({
    queries: searched.map(({ resource }) => ({
      queryKey: ["palette", resource, text],
      queryFn: () =>
        resonance.dataProvider.getList({
          resource,
          filters: [{ field: "q", operator: "eq", value: text }],
          pagination: { currentPage: 1, pageSize: few },
        }),
      enabled,
      retry: false,
    })),
  });
  if (!enabled) return { found: [], busy: false };
  const found = answers.flatMap(({ data }, i): Choice[] => {
    const { resource, note } = searched[i] as (typeof searched)[number];
    const group = t(`nav.${resource}`);
    const records = (data?.data ?? []).map((record) => ({
      key: `${resource}-${record.id}`,
      group,
      text: String(record.name ?? "–"),
      note: note.map((field) => textOf(record[field])).find(Boolean),
      run: () => void navigate(`/${resource}/show/${record.id}`),
    }));
    const total = data?.total ?? 0;
    if (total <= few) return records;
    const all = {
      key: `${resource}-all`,
      group,
      text: t("palette.all", { n: number(total) }),
      more: true,
      run: () => void navigate(`/${resource}?${new URLSearchParams({ q: text })}`),
    };
    return [...records, all];
  });
  return { found, busy: answers.some(({ isFetching }) => isFetching) };
}

/** A text, or the name of what a record links to. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "name" in value) return String(value.name);
  return undefined;
}
