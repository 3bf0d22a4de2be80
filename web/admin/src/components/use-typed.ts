import { useEffect, useRef, useState } from "react";

const pause = 250; // ms between the last key and what it leads to

/** What is typed into a field, and `type`, which tells it on once the typing pauses, or after `wait` ms. */
export function useTyped(value: string, tell: (value: string) => void) {
  const [typed, setTyped] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (next: string, wait = next === "" ? 0 : pause) => {
    setTyped(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => tell(next), wait);
  };
  return [typed, type] as const;
}
