import type { CrudFilter, CrudOperators, CrudSort } from "@refinedev/core";
import type { Client } from "./client.ts";
import { orderColumns } from "./columns.ts";
import { ApiError } from "./error.ts";

/** How many values an operator takes. */
type Arity = "none" | "one" | "two" | "list";

/** The API's suffix for each of Refine's operators. Equality in the API counts case, so eqs is eq. */
const operators: Partial<Record<CrudOperators, { suffix: string; arity: Arity }>> = {
  eqs: { suffix: "eq", arity: "one" },
  nes: { suffix: "ne", arity: "one" },
  in: { suffix: "in", arity: "list" },
  nin: { suffix: "nin", arity: "list" },
  between: { suffix: "between", arity: "two" },
  nbetween: { suffix: "nbetween", arity: "two" },
  null: { suffix: "null", arity: "none" },
  nnull: { suffix: "nnull", arity: "none" },
};
for (const name of ["eq", "ne", "lt", "lte", "gt", "gte"] as const) operators[name] = { suffix: name, arity: "one" };
for (const name of ["contains", "startswith", "endswith"] as const) {
  for (const operator of [name, `n${name}`, `${name}s`, `n${name}s`] as const) {
    operators[operator] = { suffix: operator, arity: "one" };
  }
}

/** Parameters of the API with a meaning of their own, which a filter may be named after. */
const parameters = new Set(["q", "start_date", "end_date"]);

/** Parameters that mean "contains" or a list when they have no suffix: repeating them does not mean "any of". */
const classic = new Set<string>([
  "customer",
  ...orderColumns.filter(({ kind }) => kind === "choice").map(({ name }) => name),
]);

/**
 * Translates filters, which the API joins by AND. `key` is the column that Refine calls id. A filter without a value is none, as in the API.
 * What the API cannot do is an ApiError with status 400: a filter is never left out quietly.
 */
export function filterParams(client: Client, filters: readonly CrudFilter[] = [], key = "id"): URLSearchParams {
  const params = new URLSearchParams();
  const excluded = new Map<string, Set<string>>();
  const seen = new Map<string, string>();
  for (const { field: name, operator, value } of flatten(client, filters)) {
    const field = name === "id" ? key : name;
    const fail = (es: string, en: string): never => refuse(client, field, operator, es, en);
    if (parameters.has(field)) {
      if (!["eq", "contains"].includes(operator)) fail("use eq", "use eq");
      if (!empty(value)) params.append(field, text(value));
      continue;
    }
    const known = operators[operator] ?? fail("la API no tiene ese operador", "the API has no such operator");
    if (known.arity === "none") {
      params.append(`${field}_${known.suffix}`, String(value ?? true));
      continue;
    }
    if (empty(value)) continue;
    const values = (Array.isArray(value) ? value : splitting(value, known.arity)).map((v) => (empty(v) ? "" : text(v)));
    const given = values.filter((v) => v !== "");
    if (given.length === 0) continue;
    if (known.suffix === "ne" || known.suffix === "nin") {
      if (known.suffix === "ne" && values.length > 1) fail("necesita un solo valor", "it takes one value");
      excluded.set(field, new Set([...(excluded.get(field) ?? []), ...given]));
      continue;
    }
    const id = `${field}_${known.suffix}`;
    const before = seen.get(id);
    seen.set(id, given.join("\0"));
    if (before === given.join("\0")) continue;
    if (before !== undefined) fail("está dos veces", "it is there twice");
    switch (known.arity) {
      case "one":
        if (values.length > 1) fail("necesita un solo valor", "it takes one value");
        params.append(id, given[0] as string);
        break;
      case "two":
        between(params, field, known.suffix, values, fail);
        break;
      default:
        list(params, field, given, fail);
    }
  }
  for (const [field, values] of excluded) {
    if (values.size === 1) params.append(`${field}_ne`, [...values][0] as string);
    else if ([...values].some((v) => v.includes(","))) {
      refuse(client, field, "nin", "un valor lleva una coma", "a value has a comma");
    } else params.append(`${field}_nin`, [...values].join(","));
  }
  return params;
}

type Fail = (es: string, en: string) => never;

function between(params: URLSearchParams, field: string, suffix: string, values: string[], fail: Fail): void {
  const [low, high, ...more] = values;
  if (more.length > 0 || values.length < 2) fail("necesita dos valores", "it takes two values");
  if (low && high) params.append(`${field}_${suffix}`, `${low},${high}`);
  else if (suffix === "nbetween") fail("necesita dos valores", "it takes two values");
  else if (low) params.append(`${field}_gte`, low);
  else if (high) params.append(`${field}_lte`, high);
}

function list(params: URLSearchParams, field: string, values: string[], fail: Fail): void {
  if (values.length === 1) params.append(`${field}_eq`, values[0] as string);
  else if (!values.some((v) => v.includes(","))) params.append(`${field}_in`, values.join(","));
  else if (classic.has(field)) fail("un valor lleva una coma", "a value has a comma");
  else for (const v of values) params.append(field, v);
}

/** A filter of one field. */
type Single = { field: string; operator: CrudOperators; value: unknown };

function flatten(client: Client, filters: readonly CrudFilter[]): Single[] {
  return filters.flatMap((filter): Single[] => {
    if (!("field" in filter)) {
      if (filter.operator === "and") return flatten(client, filter.value);
      return anyOf(client, flatten(client, filter.value));
    }
    return [filter];
  });
}

/** The one kind of OR that the API has: one field that equals any of several values. */
function anyOf(client: Client, filters: Single[]): Single[] {
  const [first] = filters;
  if (!first || filters.length === 1) return filters;
  if (filters.some((f) => f.field !== first.field || !["eq", "eqs", "in"].includes(f.operator))) {
    refuse(
      client,
      first.field,
      "or",
      "solo se unen por O valores de un campo",
      "only values of one field are joined by OR",
    );
  }
  return [{ field: first.field, operator: "in", value: filters.flatMap((f) => f.value) }];
}

function refuse(client: Client, field: string, operator: string, es: string, en: string): never {
  const reason = client.language === "en" ? en : es;
  const message = client.text("resonance.filter", { field, operator, reason });
  throw new ApiError(400, message, { errors: { [field]: reason } });
}

function empty(value: unknown): boolean {
  return value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);
}

/** A list may come as the text that a URL keeps. */
function splitting(value: unknown, arity: Arity): unknown[] {
  return typeof value === "string" && (arity === "two" || arity === "list") ? value.split(",") : [value];
}

function text(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "object" && value !== null && "toISOString" in value) {
    return (value as { toISOString(): string }).toISOString(); // dayjs
  }
  return String(value);
}

/** Translates sorters: `-order_date,customer`. `key` is the column that Refine calls id. */
export function sortParam(sorters: readonly CrudSort[] = [], key = "id"): string {
  return sorters
    .filter((s) => s.order)
    .map(({ field, order }) => (order === "desc" ? "-" : "") + (field === "id" ? key : field))
    .join(",");
}
