import type { HistoryEntry } from "@resonance/refine";
import { columnNames } from "./query.ts";

/** A column before and after; `before` is undefined where it is not known. */
export interface Change {
  field: string;
  before: unknown;
  after: unknown;
}

/** What an entry of the history changed, in the order of the columns. Of an order's first and last entry it is nothing. */
export function changedOf({
  change,
  values,
  previous,
}: Pick<HistoryEntry, "change" | "values" | "previous">): Change[] {
  const isEdit = change === "pending" || change === "rejected";
  if (change !== "updated" && !isEdit) return [];
  const fields = Object.keys(isEdit ? (values ?? {}) : (previous ?? {}));
  const place = (field: string) => (columnNames as readonly string[]).indexOf(field);
  return fields
    .sort((a, b) => place(a) - place(b))
    .map((field) => ({ field, before: previous?.[field], after: values?.[field] ?? null }));
}
