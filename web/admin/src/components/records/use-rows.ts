import {
  type BaseRecord,
  type CrudFilter,
  type CrudOperators,
  type CrudSort,
  type HttpError,
  useList,
  useResourceParams,
} from "@refinedev/core";
import { keepPreviousData, type Query } from "@tanstack/react-query";
import { useEffect } from "react";
import { useSearchParams } from "react-router";
import { type ListAddress, readAddress, writeAddress } from "./address.ts";
import { filterOf, filterValue } from "./filters.ts";
import { useIntended } from "./intended.ts";

/** Odoo's answers say how old they are, and whether it is away. */
export interface Freshness {
  age?: number;
  stale?: true;
}

const again = 10_000; // ms, while Odoo is away

/** Asks again now and then while Odoo is away, so that what is fresh shows by itself. */
export function whileAway(
  query: Query<never, HttpError> | { state: { data?: unknown; error: unknown } },
): number | false {
  const { data, error } = query.state;
  const away = (data as Freshness | undefined)?.stale || (error as HttpError | null)?.statusCode === 503;
  return away ? again : false;
}

interface Options {
  sort: CrudSort;
  /** The fields that the address may filter by, besides `q` and `active`. */
  filters: readonly string[];
  pageSize?: number;
}

/** A page of records of the present Odoo resource, with its filters and its sort, all of them in the address. */
export function useRows<T extends BaseRecord>({ sort: initialSort, filters: names, pageSize = 20 }: Options) {
  const resource = useResourceParams().resource?.name ?? "";
  const [params, setParams] = useSearchParams();
  const address = readAddress(params, ["q", "active", ...names], initialSort);
  const { filters, sort, page: currentPage } = address;
  const { query: tableQuery, result } = useList<T, HttpError>({
    resource,
    filters,
    sorters: [sort],
    pagination: { currentPage, pageSize },
    queryOptions: { placeholderData: keepPreviousData, refetchInterval: whileAway },
    errorNotification: false,
  });
  const intended = useIntended(resource);
  /** Changes the address. A search that goes on being typed makes no further steps to go back by. */
  const go = (next: Partial<ListAddress>, replace = false) =>
    setParams(writeAddress({ ...address, page: 1, ...next }, initialSort), { replace });
  const apply = (more: CrudFilter[]) => {
    const typing = more.every(
      (f) => "field" in f && f.field === "q" && f.value && filterValue(filters, "q") !== undefined,
    );
    go({ filters: merged(filters, more) }, typing);
  };

  const { total = 0 } = result;
  const last = Math.max(1, Math.ceil(total / pageSize));
  const beyond = tableQuery.isSuccess && !tableQuery.isPlaceholderData && currentPage > last;
  const written = writeAddress({ ...address, page: last }, initialSort).toString();
  useEffect(() => {
    if (beyond) setParams(written, { replace: true });
  }, [beyond, written, setParams]);

  return {
    resource,
    tableQuery,
    filters,
    initialSort,
    sort,
    currentPage,
    pageSize,
    rows: result.data.map(intended),
    total: result.total,
    /** One filter's value. */
    value: (field: string, operator?: CrudOperators) => filterValue(filters, field, operator),
    set: (field: string, operator: Exclude<CrudOperators, "or" | "and">, value: unknown) =>
      apply([filterOf(field, operator, value)]),
    apply,
    clear: () => go({ filters: [] }),
    sortBy: (next: CrudSort | undefined) => go({ sort: next ?? initialSort }),
    setCurrentPage: (page: number) => go({ page }),
  };
}

/** Filters with others in their place, or without those that have no value now. */
function merged(filters: CrudFilter[], more: CrudFilter[]): CrudFilter[] {
  const same = (a: CrudFilter, b: CrudFilter) =>
    "field" in a && "field" in b && a.field === b.field && a.operator === b.operator;
  return [...filters.filter((one) => !more.some((other) => same(one, other))), ...more];
}

export type Rows<T extends BaseRecord> = ReturnType<typeof useRows<T>>;
