import {
  type BaseRecord,
  type CrudFilter,
  type CrudOperators,
  type CrudSort,
  type HttpError,
  useResourceParams,
  useTable,
} from "@refinedev/core";
import { keepPreviousData, type Query } from "@tanstack/react-query";
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

/** A page of a resource of Odoo's, with its filters and its sort, all of them in the address. */
export function useRows<T extends BaseRecord>(sort: CrudSort, pageSize = 20) {
  const table = useTable<T, HttpError>({
    pagination: { pageSize },
    sorters: { initial: [sort] },
    queryOptions: { placeholderData: keepPreviousData, refetchInterval: whileAway },
    errorNotification: false,
  });
  const { filters, setFilters, setCurrentPage, setSorters } = table;
  const apply = (more: CrudFilter[]) => {
    setFilters(more, "merge");
    setCurrentPage(1);
  };
  return {
    ...table,
    initialSort: sort,
    rows: table.result.data.map(useIntended(useResourceParams().resource?.name)),
    total: table.result.total,
    /** One filter's value. */
    value: (field: string, operator?: CrudOperators) => filterValue(filters, field, operator),
    set: (field: string, operator: Exclude<CrudOperators, "or" | "and">, value: unknown) =>
      apply([filterOf(field, operator, value)]),
    apply,
    clear: () => {
      setFilters([], "replace");
      setCurrentPage(1);
    },
    sort: table.sorters[0] ?? sort,
    sortBy: (next: CrudSort | undefined) => {
      setSorters([next ?? sort]);
      setCurrentPage(1);
    },
  };
}

export type Rows<T extends BaseRecord> = ReturnType<typeof useRows<T>>;
