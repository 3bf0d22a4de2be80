import { useCustom } from "@refinedev/core";
import type { SyncEvent, SyncState } from "@resonance/refine";
import { useEffect, useState } from "react";
import { language } from "./i18n/index.ts";
import { usePreference } from "./preferences.ts";
import { resonance } from "./resonance.ts";

/** A reason of the API's: in one language, or, where the same is told to everybody, in all. */
export type Reason = string | { es?: string; en?: string } | null | undefined;

/** Picks the present language of a reason. */
export function useSpoken(): (reason: Reason) => string | undefined {
  const now = usePreference(language);
  return (reason) => (typeof reason === "object" ? reason?.[now] : reason) || undefined;
}

/** How the sync stands: read as a whole now and then, and kept up by what is told meanwhile. */
export function useSync() {
  const spoken = usePreference(language);
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
  const { current: _, ...settled } = read ?? {};
  const state: SyncState | undefined = read && newer ? { ...(settled as SyncState), ...newer } : read;
  return { state, query };
}
