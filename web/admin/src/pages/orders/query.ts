import type { CrudFilter, CrudSort } from "@refinedev/core";
import { type OrderColumnName, orderColumns } from "@resonance/refine";
import { priorities, statuses } from "../../components/tags.tsx";

/** What orders can be filtered by: the names of the API's parameters, which the address has too. */
export const filterNames = [
  "q",
  "status",
  "priority",
  "customer",
  "start_date",
  "end_date",
  "amount_gte",
  "amount_lte",
] as const;

export type FilterName = (typeof filterNames)[number];
export type Filters = Partial<Record<FilterName, string>>;

/** A page of orders, as the address says it. */
export interface OrderQuery {
  filters: Filters;
  /** A column, with - before it for descending. */
  sort: string;
  page: number;
  pageSize: number;
}

/** Among the values of a filter: whatever Airtable holds besides those that are known, empty cells too. */
export const other = "other";

export const choices = {
  status: [...statuses, other] as string[],
  priority: [...priorities, other] as string[],
};

/** A column of orders that can be shown, and sorted by. */
export type ColumnName = Exclude<OrderColumnName, "record_id">;

export const columnNames: readonly ColumnName[] = orderColumns
  .map(({ name }) => name)
  .filter((name): name is ColumnName => name !== "record_id");

/** What a column is called where a language has no word of its own for it. */
export const titleOf = (name: string, language: string): string => {
  const title = orderColumns.find((column) => column.name === name)?.title;
  return (language === "es" ? title?.es : title?.en) ?? name;
};

const defaultSort = "-order_date";
export const pageSizes = [20, 50, 100];
const [defaultSize = 20] = pageSizes;
const longest = 200; // characters, as the API allows

/** Reads an address. What makes no sense in it is left out. */
export function parseQuery(params: URLSearchParams): OrderQuery {
  const filters: Filters = {};
  for (const name of filterNames) {
    const value = valid(name, params.getAll(name).join(","));
    if (value) filters[name] = value;
  }
  const sort = params.get("sort") ?? "";
  const size = Number(params.get("page_size"));
  return {
    filters,
    sort: (columnNames as readonly string[]).includes(sort.replace(/^-/, "")) ? sort : defaultSort,
    page: Math.min(Math.max(1, Math.trunc(Number(params.get("page"))) || 1), 100_000),
    pageSize: pageSizes.includes(size) ? size : defaultSize,
  };
}

/** Writes an address; what is as always is left out. */
export function writeQuery({ filters, sort, page, pageSize }: Partial<OrderQuery>): URLSearchParams {
  const params = new URLSearchParams();
  for (const name of filterNames) {
    const value = valid(name, filters?.[name] ?? "");
    if (value) params.set(name, value);
  }
  if (sort && sort !== defaultSort) params.set("sort", sort);
  if (page && page > 1) params.set("page", String(page));
  if (pageSize && pageSize !== defaultSize) params.set("page_size", String(pageSize));
  return params;
}

/** The value of a filter, put in order; "" for none. */
function valid(name: FilterName, value: string): string {
  const text = value.trim().slice(0, longest);
  switch (name) {
    case "status":
    case "priority": {
      const chosen = choices[name].filter((choice) => text.split(",").includes(choice));
      return chosen.length === choices[name].length ? "" : chosen.join(",");
    }
    case "start_date":
    case "end_date":
      return isDate(text) ? text : "";
    case "amount_gte":
    case "amount_lte":
      return /^-?\d{1,15}(\.\d{1,6})?$/.test(text) ? text : "";
    default:
      return text;
  }
}

function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

/** Which range ends before it begins, so that nothing can match. */
export function crossed({ amount_gte, amount_lte, start_date, end_date }: Filters): "amount" | "date" | undefined {
  if (amount_gte && amount_lte && Number(amount_gte) > Number(amount_lte)) return "amount";
  if (start_date && end_date && start_date > end_date) return "date";
  return undefined;
}

/** The same filters with such ranges the other way round. */
export function uncrossed(filters: Filters): Filters {
  const { amount_gte = "", amount_lte = "", start_date = "", end_date = "" } = filters;
  return {
    ...filters,
    ...(crossed({ amount_gte, amount_lte }) && { amount_gte: amount_lte, amount_lte: amount_gte }),
    ...(crossed({ start_date, end_date }) && { start_date: end_date, end_date: start_date }),
  };
}

/** The chosen values of a filter that has several. */
export const listOf = (value: string | undefined): string[] => (value ? value.split(",") : []);

/** The filters as Refine has them. */
export function crudFilters(filters: Filters): CrudFilter[] {
  return filterNames.flatMap((name): CrudFilter[] => {
    const value = filters[name];
    if (!value) return [];
    switch (name) {
      case "status":
      case "priority":
        return [choice(name, listOf(value))];
      case "customer":
        return [{ field: name, operator: "contains", value }];
      case "amount_gte":
      case "amount_lte":
        return [{ field: "amount", operator: name === "amount_gte" ? "gte" : "lte", value }];
      default:
        return [{ field: name, operator: "eq", value }];
    }
  });
}

/** With what is unknown, it is all but the known ones that are not chosen. */
function choice(name: "status" | "priority", chosen: string[]): CrudFilter {
  if (!chosen.includes(other)) return { field: name, operator: "in", value: chosen };
  return { field: name, operator: "nin", value: choices[name].filter((value) => !chosen.includes(value)) };
}

export const sortersOf = (sort: string): CrudSort[] => [
  { field: sort.replace(/^-/, ""), order: sort.startsWith("-") ? "desc" : "asc" },
];

/** The address of orders, for links: `ordersPath("/orders", {status: "Pending"})`. */
export function ordersPath(
  path: "/orders" | "/orders/board",
  filters: Filters,
  rest: Partial<OrderQuery> = {},
): string {
  const search = writeQuery({ ...rest, filters }).toString();
  return search ? `${path}?${search}` : path;
}
