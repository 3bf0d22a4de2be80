import { useSyncExternalStore } from "react";

const key = "resonance.orders.dismissed";
const most = 200; // the oldest are forgotten

const listeners = new Set<() => void>();
let ids = stored();

function stored(): readonly string[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(value) ? value.filter((id) => typeof id === "string") : [];
  } catch {
    return [];
  }
}

function listen(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** The refused edits that this browser need not show any more, by id. */
export const useDismissed = (): readonly string[] => useSyncExternalStore(listen, () => ids);

export function dismiss(id: string): void {
  ids = [...stored(), id].slice(-most);
  try {
    localStorage.setItem(key, JSON.stringify(ids));
  } catch {
    // A browser that forbids it: it lasts as long as the page.
  }
  for (const listener of [...listeners]) listener();
}
