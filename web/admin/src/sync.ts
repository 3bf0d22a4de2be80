import { useCustom } from "@refinedev/core";
import type { SyncEvent, SyncRun, SyncRunEvent, SyncState } from "@resonance/refine";
import { useEffect, useState } from "react";
import { useLanguage } from "./i18n/index.ts";
import { resonance } from "./resonance.ts";

/** How the sync stands: read as a whole now and then, and kept up by what is told meanwhile. */
export function useSync() {
  const spoken = useLanguage();
  const { query } = useCustom<SyncState>({
    url: "/api/orders/sync",
    method: "get",
    errorNotification: false,
    queryOptions: { queryKey: ["sync", spoken], refetchInterval: 30_000 },
  });
  const { refetch } = query;
  const [told, setTold] = useState<{ event: SyncEvent; at: number }>();

  useEffect(
    () =>
      resonance.liveProvider.onSync((event) => {
        setTold({ event, at: Date.now() });
        if (event.state === "idle") void refetch();
      }),
    [refetch],
  );

  const read = query.data?.data;
  const newer = told && told.at > query.dataUpdatedAt ? told.event : undefined;
  return { state: read && newer ? merged(read, newer) : read, query };
}

/** What was read, as far as it still is so, with what was told since. */
function merged(read: SyncState, told: SyncEvent): SyncState {
  const known = [read.current, read.last, ...(read.recent ?? [])];
  const run = (event: SyncRunEvent | undefined): SyncRun | undefined =>
    event && { ...known.find((one) => one?.id === event.id), ...event };
  return { ...read, ...told, current: run(told.current), last: run(told.last) ?? read.last };
}
