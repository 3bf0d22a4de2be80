/** The fields of `now` that are not as they were: what a PATCH says. Nothing at all becomes null. */
export function changes<V extends object>(before: V, now: V): Partial<Record<keyof V, unknown>> {
  const changed: Partial<Record<keyof V, unknown>> = {};
  for (const name of Object.keys(now) as (keyof V)[]) {
    if (!same(before[name], now[name])) changed[name] = nothing(now[name]) ? null : now[name];
  }
  return changed;
}

/** What is there of `values`: what a POST says. */
export function given<V extends object>(values: V): Partial<V> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !nothing(value))) as Partial<V>;
}

const nothing = (value: unknown) =>
  value === undefined || value === null || (typeof value === "string" && value.trim() === "");

function same(a: unknown, b: unknown): boolean {
  return (nothing(a) && nothing(b)) || JSON.stringify(a) === JSON.stringify(b);
}
