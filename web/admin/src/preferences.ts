import { useSyncExternalStore } from "react";

/** A choice that lasts in this browser and is the same in all its tabs. */
export class Preference<T extends string> {
  readonly #key: string;
  readonly #allowed: readonly T[];
  readonly #listeners = new Set<() => void>();
  #value: T;

  constructor(name: string, allowed: readonly T[], otherwise: () => T) {
    this.#key = `resonance.${name}`;
    this.#allowed = allowed;
    this.#value = this.#stored() ?? otherwise();
    globalThis.addEventListener("storage", ({ key }) => {
      const stored = key === this.#key ? this.#stored() : undefined;
      if (stored) this.#change(stored);
    });
  }

  get = (): T => this.#value;

  set = (value: T): void => {
    try {
      localStorage.setItem(this.#key, value);
    } catch {
      // A browser that forbids it: the choice lasts as long as the page.
    }
    this.#change(value);
  };

  listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  #change(value: T): void {
    if (value === this.#value) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  #stored(): T | undefined {
    try {
      const value = localStorage.getItem(this.#key);
      return this.#allowed.find((allowed) => allowed === value);
    } catch {
      return undefined;
    }
  }
}

export const usePreference = <T extends string>({ listen, get }: Preference<T>): T => useSyncExternalStore(listen, get);

export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

export const theme = new Preference<Theme>("theme", themes, () => "system");

const dark = matchMedia("(prefers-color-scheme: dark)");

const listenDark = (listener: () => void) => {
  dark.addEventListener("change", listener);
  return () => dark.removeEventListener("change", listener);
};

/** Reports whether it is dark now, by choice or by the system's. */
export function useDark(): boolean {
  const chosen = usePreference(theme);
  const system = useSyncExternalStore(listenDark, () => dark.matches);
  return chosen === "system" ? system : chosen === "dark";
}

/** Lets base.css know the choice. */
function mark(): void {
  const chosen = theme.get();
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}

mark();
theme.listen(mark);
