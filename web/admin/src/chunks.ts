import { type ComponentType, lazy } from "react";

type Chunk = { default: ComponentType };

const attempts = 3; // at a chunk while the server answers and still has this version
const retryDelay = 1_000; // ms
const loads: (() => Promise<Chunk>)[] = [];

/** A page in a chunk of its own. `prefetch` loads it before somebody goes there. */
export function page(load: () => Promise<Chunk>) {
  loads.push(load);
  return lazy(() => persistently(load));
}

/** Loads the chunks of all pages, one after the other, until one fails. */
export async function prefetch(): Promise<void> {
  try {
    for (const load of loads) await load();
  } catch {
    // The server is unavailable: whoever goes to the page loads it.
  }
}

interface Surroundings {
  version: () => Promise<Version>;
  reload: () => void;
  wait: () => Promise<void>;
}

/**
 * Loads a chunk, for as long as the server is unavailable: a reload would then lose the page, and what waits on it to
 * be sent. A server with another version has no chunks of this one any more: the page is reloaded.
 */
export async function persistently<T>(
  load: () => Promise<T>,
  { version, reload, wait }: Surroundings = { version: serverVersion, reload: () => location.reload(), wait: pause },
): Promise<T> {
  for (let failed = 0; ; ) {
    try {
      return await load();
    } catch (error) {
      const found = await version();
      if (found === "other") {
        reload();
        return new Promise(() => undefined);
      }
      if (found === "same") failed += 1;
      if (failed === attempts) throw error;
      await wait();
    }
  }
}

export type Version = "same" | "other" | "unavailable";

/** Which version of the app the server has now, by the script that its page begins with. */
async function serverVersion(): Promise<Version> {
  try {
    const response = await fetch("/", { cache: "no-store", headers: { Accept: "text/html" } });
    if (!response.ok) return "unavailable";
    const there = entryOf(new DOMParser().parseFromString(await response.text(), "text/html"));
    if (there === undefined) return "unavailable"; // not this app: a proxy's page, say
    return there === entryOf(document) ? "same" : "other";
  } catch {
    return "unavailable";
  }
}

const entryOf = (page: Document) => page.querySelector("script[type=module]")?.getAttribute("src") ?? undefined;

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, retryDelay));
