import { useLocation } from "react-router";

/** Where somebody came from to one order: the address of the list, and the ids that it shows. */
export interface Origin {
  back: string;
  ids: string[];
}

export const showPath = (id: string): string => `/orders/show/${encodeURIComponent(id)}`;

/** The way back from an order, and the orders beside it in the list that it was come to from. */
export function useOrigin(id: string) {
  const state = useLocation().state as Partial<Origin> | null;
  const back = typeof state?.back === "string" && state.back.startsWith("/orders") ? state.back : "/orders";
  const ids = Array.isArray(state?.ids) ? state.ids.filter((known) => typeof known === "string") : [];
  const at = ids.indexOf(id);
  return { origin: { back, ids }, previous: ids[at - 1], next: at < 0 ? undefined : ids[at + 1] };
}
