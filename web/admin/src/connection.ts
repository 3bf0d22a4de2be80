import type { LiveState } from "@resonance/refine";
import { useEffect, useState, useSyncExternalStore } from "react";
import { resonance } from "./resonance.ts";

export type Connection = "live" | "connecting" | "reconnecting" | "offline";

const { liveProvider } = resonance;

/** How the live connection stands. While this is used, there is one. */
export function useConnection(): Connection {
  const state = useSyncExternalStore<LiveState>(liveProvider.onState, () => liveProvider.state);
  const online = useSyncExternalStore(listenOnline, () => navigator.onLine);
  const [was, setWas] = useState(false);
  useEffect(() => {
    if (state === "open") setWas(true);
  }, [state]);
  if (!online) return "offline";
  if (state === "open") return "live";
  return was || state === "waiting" ? "reconnecting" : "connecting";
}

function listenOnline(listener: () => void): () => void {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  return () => {
    removeEventListener("online", listener);
    removeEventListener("offline", listener);
  };
}

/** `value` once it has been the same for `delay` milliseconds: what passes at once is not worth a word. */
export function useSettled<T>(value: T, delay: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), delay);
    return () => clearTimeout(timer);
  }, [value, delay]);
  return settled;
}
