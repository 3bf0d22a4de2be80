import { useEffect } from "react";

/** Calls back for a key, unless somebody writes or chooses something with it. */
export function useKey(key: string, call: () => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const { target } = event;
      if (
        target instanceof Element &&
        target.closest(
          "input, textarea, select, [contenteditable], [role=menu], [role=dialog], [role=radiogroup], [role=listbox], .ant-segmented",
        )
      )
        return;
      event.preventDefault();
      call();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, [key, call]);
}

const toSearch = () => document.querySelector<HTMLInputElement>("#content input[type=search]")?.focus();

/** `/` goes to the search of the page. */
export const useSearchKey = (): void => useKey("/", toSearch);
