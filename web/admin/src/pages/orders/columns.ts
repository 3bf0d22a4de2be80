import type { Order, OrdersSummary } from "@resonance/refine";
import { statuses } from "../../components/tags.tsx";
import type { Wanted } from "./own.ts";
import { type Filters, listOf, other } from "./query.ts";

/** A column of the board: a status, or `other` for all that is none of ours. */
export const columnOf = (status: string | null | undefined): string =>
  (statuses as readonly string[]).includes(status ?? "") ? String(status) : other;

/** The columns that filters leave. The one for other statuses is only there when an order has one. */
export function columnsOf(filters: Filters, counts: ReadonlyMap<string, number>): string[] {
  const chosen = listOf(filters.status);
  const columns = [...statuses, ...(counts.get(other) || chosen.includes(other) ? [other] : [])];
  return chosen.length > 0 ? columns.filter((column) => chosen.includes(column)) : columns;
}

/** The filters of one column's cards. */
export const filtersOf = (filters: Filters, column: string): Filters => ({ ...filters, status: column });

/** The cards of a column: those that were read, without those on their way elsewhere; those on their way here first. */
export function cardsOf(column: string, read: readonly Order[], wanted: ReadonlyMap<string, Wanted>): Order[] {
  const goes = ({ order, values }: Wanted) => columnOf(values.status ?? order.status);
  const stays = read.filter((order) => {
    const values = wanted.get(order.id)?.values;
    return columnOf(values?.status ?? order.status) === column;
  });
  const known = new Set(stays.map(({ id }) => id));
  const comes = [...wanted.values()].filter(
    (want) => want.values.status !== undefined && goes(want) === column && !known.has(want.order.id),
  );
  return [...comes.map(({ order }) => order), ...stays];
}

/** How many orders each column has, with what is on its way. */
export function countsOf(
  summary: OrdersSummary | undefined,
  wanted: ReadonlyMap<string, Wanted>,
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const add = (column: string, n: number) => counts.set(column, Math.max(0, (counts.get(column) ?? 0) + n));
  for (const { status, count } of summary?.by_status ?? []) add(columnOf(status), count);
  for (const { order, values } of wanted.values()) {
    if (values.status === undefined) continue;
    add(columnOf(order.status), -1);
    add(columnOf(values.status), 1);
  }
  return counts;
}
