import type { BaseRecord } from "@refinedev/core";
import { useSyncExternalStore } from "react";

/** Whether records are to be active, by resource and id, while what is read of them does not say so yet. */
class Intended {
  readonly #listeners = new Set<() => void>();
  #values: ReadonlyMap<string, boolean> = new Map();

  get = (): ReadonlyMap<string, boolean> => this.#values;

  listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  has(place: string): boolean {
    return this.#values.has(place);
  }

  set(place: string, active: boolean): void {
    this.#change(new Map([...this.#values, [place, active]]));
  }

  delete(place: string): void {
    this.#change(new Map([...this.#values].filter(([one]) => one !== place)));
  }

  #change(values: ReadonlyMap<string, boolean>): void {
    this.#values = values;
    for (const listener of [...this.#listeners]) listener();
  }
}

export const intended = new Intended();

/** Gives a record as it is to be. */
export function useIntended(resource: string | undefined): <T extends BaseRecord>(record: T) => T {
  const values = useSyncExternalStore(intended.listen, intended.get);
  return (record) => {
    const active = values.get(`${resource}/${record.id}`);
    return active === undefined ? record : { ...record, active };
  };
}
