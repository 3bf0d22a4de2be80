import { useSyncExternalStore } from "react";
import { useFormat } from "../i18n/format.ts";

const every = 15_000; // ms

let now = Date.now();
const listeners = new Set<() => void>();
setInterval(() => {
  now = Date.now();
  for (const listener of listeners) listener();
}, every);

function listen(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Now, give or take 15 s, and again whenever that has passed. */
export const useNow = (): number => useSyncExternalStore(listen, () => now);

/** “hace 3 minutos”, kept right as time goes by, with the exact time as its title. */
export function Ago({ value }: { value: string | null | undefined }) {
  const { ago, dateTime } = useFormat();
  const clock = useNow();
  if (!value) return <span>–</span>;
  // What has just happened is newer than the clock.
  return (
    <time dateTime={value} title={dateTime(value)}>
      {ago(value, Math.max(clock, Math.min(new Date(value).getTime(), clock + every)))}
    </time>
  );
}
