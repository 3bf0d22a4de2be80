// jsdom knows no media queries: nothing matches, nothing changes.
globalThis.matchMedia ??= (media: string) =>
  ({ media, matches: false, addEventListener: () => undefined, removeEventListener: () => undefined }) as never;
