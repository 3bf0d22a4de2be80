import { useCustom } from "@refinedev/core";
import type { OrderColumn } from "@resonance/refine";
import { priorities, statuses } from "../../components/tags.tsx";
import type { Field } from "./own.ts";

const known = { status: statuses, priority: priorities } as const;

/** What a column offers: the values that every base may have first, in their order, then the base's own. */
export function choicesOf(field: Field, columns: readonly OrderColumn[] | undefined): readonly string[] {
  const offered = columns?.find(({ name }) => name === field)?.choices?.map(({ value }) => value);
  if (!offered?.length) return known[field]; // any text will do, or it is not known
  const usual: readonly string[] = known[field];
  return [...usual.filter((value) => offered.includes(value)), ...offered.filter((value) => !usual.includes(value))];
}

/** What can be chosen for a column in this base. */
export function useChoices(field: Field): readonly string[] {
  const { query } = useCustom<{ data: OrderColumn[] }>({
    url: "/api/orders/columns",
    method: "get",
    errorNotification: false,
    queryOptions: { queryKey: ["orders", "columns"], staleTime: 60_000 },
  });
  return choicesOf(field, query.data?.data.data);
}
