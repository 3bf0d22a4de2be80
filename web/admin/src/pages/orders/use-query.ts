import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";
import { type Filters, type OrderQuery, parseQuery, writeQuery } from "./query.ts";

/** The address is all there is of the filters: it can be shared, and the back button undoes what was chosen. */
export function useOrderQuery() {
  const [params, setParams] = useSearchParams();
  const query = useMemo(() => parseQuery(params), [params]);

  const change = useCallback(
    (next: Partial<OrderQuery>, replace = false) => setParams(writeQuery({ ...query, ...next }), { replace }),
    [query, setParams],
  );
  /** Sets some of the filters, and goes to the first page. Typing on makes no further steps to go back by. */
  const filter = useCallback(
    (more: Filters) => {
      const typing = Object.entries(more).every(([name, value]) => name === "q" && value && query.filters.q);
      change({ filters: { ...query.filters, ...more }, page: 1 }, typing);
    },
    [change, query],
  );
  const clear = useCallback(() => change({ filters: {}, page: 1 }), [change]);
  return { ...query, change, filter, clear };
}

export type UsedQuery = ReturnType<typeof useOrderQuery>;
