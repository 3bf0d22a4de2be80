import { useNotification } from "@refinedev/core";
import { useCallback } from "react";

const seconds = 5; // in which something can be undone

/** Ends the waiting of everything that can still be undone. */
const waiting = new Set<() => void>();

// The last moment at which a page can send anything; phones give no other.
addEventListener("pagehide", () => {
  for (const send of [...waiting]) send();
});

/** Something that is done some seconds later unless it is undone. */
export interface Undoable {
  /** Resolves to whether it is to be done. */
  decided: Promise<boolean>;
  /** Does it now. */
  hurry: () => void;
}

/** Announces something with a countdown and a way back. Leaving the page is no way back: it is done at once. */
export function useUndoable(): (message: string) => Undoable {
  const { open, close } = useNotification();
  return useCallback(
    (message) => {
      const key = `undoable-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
      const { promise: decided, resolve } = withResolvers<boolean>();
      let left = seconds;
      const end = (go: boolean) => {
        clearInterval(timer);
        waiting.delete(hurry);
        close?.(key);
        resolve(go);
      };
      const hurry = () => end(true);
      const show = () =>
        open?.({ key, type: "progress", message, undoableTimeout: left, cancelMutation: () => end(false) });
      const timer = setInterval(() => {
        left -= 1;
        if (left > 0) show();
        else end(true);
      }, 1000);
      waiting.add(hurry);
      show();
      return { decided, hurry };
    },
    [open, close],
  );
}

/** Promise.withResolvers, which browsers of 2023 lack. */
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
