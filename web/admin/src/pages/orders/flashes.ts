import { type Order, orderColumns } from "@resonance/refine";
import { useEffect, useRef, useState } from "react";
import type { Wanted } from "./own.ts";

const lasting = 2_400; // ms, as in orders.css

const shown = orderColumns.map(({ name }) => name).filter((name) => name !== "created_at" && name !== "updated_at");
const faceOf = (order: Order): string => JSON.stringify(shown.map((name) => order[name]));

/**
 * The ids of orders that look different than they did before and that nobody changed here, for a moment. `place` says what is
 * read: of what is read for the first time there nothing has changed.
 */
export function useFlashes(
  orders: readonly Order[],
  wanted: ReadonlyMap<string, Wanted>,
  place: string,
): ReadonlySet<string> {
  const before = useRef({ place, faces: new Map<string, string>(), wanted });
  const [flashes, setFlashes] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    const was = before.current;
    const faces = new Map(orders.map((order) => [order.id, faceOf(order)]));
    before.current = { place, faces, wanted };
    if (was.place !== place) return;
    const own = (id: string) => wanted.has(id) || was.wanted.has(id);
    const changed = [...faces].filter(([id, face]) => !own(id) && was.faces.has(id) && was.faces.get(id) !== face);
    if (changed.length > 0) setFlashes(new Set(changed.map(([id]) => id)));
  }, [orders, wanted, place]);
  useEffect(() => {
    if (flashes.size === 0) return;
    const timer = setTimeout(() => setFlashes(new Set()), lasting);
    return () => clearTimeout(timer);
  }, [flashes]);
  return flashes;
}
