import type { CrudFilter, CrudOperators, CrudSort } from "@refinedev/core";
import { sortOf, sortText } from "./filters.ts";

/** What a list of Odoo records shows, as its address says it: `?q=ball&category=3,5&sort=-list_price&page=2`. */
export interface ListAddress {
  filters: CrudFilter[];
  sort: CrudSort;
  page: number;
}

/** Filters of several values; those of a field with a bound have it in their name, as in `date_order_gte`. */
const lists = ["category", "country", "state"];
const bounds = ["gte", "lte", "gt", "lt"] as const;
const every = "all"; // of `active`: archived records too

const longest = 200; // characters, as the API allows

/** Reads an address. What is not among `names`, or makes no sense, is left out. */
export function readAddress(params: URLSearchParams, names: readonly string[], initial: CrudSort): ListAddress {
  const filters = [...params].flatMap(([key, text]): CrudFilter[] => {
    const value = text.trim().slice(0, longest);
    const bound = bounds.find((one) => key.endsWith(`_${one}`));
    const field = bound ? key.slice(0, -bound.length - 1) : key;
    if (!names.includes(field) || value === "") return [];
    if (bound) return [{ field, operator: bound, value }];
    if (lists.includes(field)) return [{ field, operator: "in", value: value.split(",") }];
    if (field === "active" && value === every) return [{ field, operator: "in", value: ["true", "false"] }];
    return [{ field, operator: "eq", value }];
  });
  const sort = params.get("sort") ?? "";
  return {
    filters,
    sort: /^-?[a-z_]{1,40}$/.test(sort) ? sortOf(sort) : initial,
    page: Math.min(Math.max(1, Math.trunc(Number(params.get("page"))) || 1), 100_000),
  };
}

/** Writes an address; what is as always is left out. */
export function writeAddress({ filters, sort, page }: ListAddress, initial: CrudSort): URLSearchParams {
  const params = new URLSearchParams();
  for (const filter of filters) {
    if (!("field" in filter) || filter.value === undefined) continue;
    const { field, operator, value } = filter;
    if (operator === "in" && field === "active") params.set(field, every);
    else params.set(nameOf(field, operator), Array.isArray(value) ? value.join(",") : String(value));
  }
  if (sortText(sort) !== sortText(initial)) params.set("sort", sortText(sort));
  if (page > 1) params.set("page", String(page));
  return params;
}

const nameOf = (field: string, operator: CrudOperators) =>
  (bounds as readonly string[]).includes(operator) ? `${field}_${operator}` : field;
