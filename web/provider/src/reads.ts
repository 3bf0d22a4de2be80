/**
 * Knows which resources are being read. React Query drops a wish to read again while it is reading,
 * so a change is better told when that is over.
 */
export class Reads {
  readonly #running = new Map<string, Set<Promise<unknown>>>();
  readonly #known = new Set<string>();

  /** Remembers a read until it ends, and gives it back. */
  track<T>(resource: string, read: Promise<T>): Promise<T> {
    this.#known.add(resource);
    const running = this.#running.get(resource) ?? new Set();
    this.#running.set(resource, running.add(read));
    const end = () => void running.delete(read);
    read.then(end, end);
    return read;
  }

  /** Reports whether the resource was ever read. */
  began(resource: string): boolean {
    return this.#known.has(resource);
  }

  /** Waits for the reads that run now, but no longer than `patience` milliseconds. */
  async settled(resource: string, patience: number): Promise<void> {
    const running = [...(this.#running.get(resource) ?? [])];
    if (running.length === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, patience);
    });
    await Promise.race([Promise.allSettled(running), late]);
    clearTimeout(timer);
    await new Promise((resolve) => setTimeout(resolve)); // let the readers take their answers
  }
}
