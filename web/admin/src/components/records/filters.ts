import type { CrudFilter, CrudOperators, CrudSort } from "@refinedev/core";

/** The value of the filter of a field by an operator. */
export function filterValue(filters: readonly CrudFilter[], field: string, operator: CrudOperators = "eq"): unknown {
  return filters.find((f) => "field" in f && f.field === field && f.operator === operator)?.value;
}

/** A filter of several values, which an address may keep as text: numbers come back as numbers. */
export function filterIds(filters: readonly CrudFilter[], field: string): number[] {
  const value = filterValue(filters, field, "in");
  const values = Array.isArray(value) ? value : typeof value === "string" ? value.split(",") : [];
  return values.map(Number).filter((id) => Number.isInteger(id) && id > 0);
}

/** A filter that is no filter when it has no value. */
export function filterOf(field: string, operator: Exclude<CrudOperators, "or" | "and">, value: unknown): CrudFilter {
  const none = value === "" || value === null || (Array.isArray(value) && value.length === 0);
  return { field, operator, value: none ? undefined : value };
}

export type Archived = "active" | "archived" | "all";

/** What a list shows of what is archived. */
export function archivedOf(filters: readonly CrudFilter[]): Archived {
  if (filterValue(filters, "active", "in") !== undefined) return "all";
  return String(filterValue(filters, "active")) === "false" ? "archived" : "active";
}

export function archivedFilters(archived: Archived): CrudFilter[] {
  return [
    filterOf("active", "eq", archived === "archived" ? "false" : undefined),
    filterOf("active", "in", archived === "all" ? ["true", "false"] : undefined),
  ];
}

/** `-name` for a sort, as a choice among several has it. */
export const sortText = ({ field, order }: CrudSort): string => (order === "desc" ? `-${field}` : field);

export const sortOf = (text: string): CrudSort =>
  text.startsWith("-") ? { field: text.slice(1), order: "desc" } : { field: text, order: "asc" };
