import type { Role, Tokens } from "./types.ts";

/** The part of the Web Storage API that is used. */
export type TokenStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** Who is logged in, and the tokens that prove it. */
export interface Session {
  username?: string;
  role: Role;
  accessToken: string;
  refreshToken: string;
  /** Milliseconds since the epoch, by this machine's clock. */
  expiresAt: number;
  /** Seconds that the access token was good for. */
  life: number;
}

export function sessionOf(tokens: Tokens, username?: string): Session {
  return {
    ...(username === undefined ? {} : { username }),
    role: tokens.role,
    accessToken: tokens.access_token,
    refreshToken: tokens.refresh_token,
    expiresAt: Date.now() + tokens.expires_in * 1000,
    life: tokens.expires_in,
  };
}

/** Storage that lasts as long as the page. */
export function memoryStorage(): TokenStorage {
  const values = new Map<string, string>();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

function defaultStorage(): TokenStorage {
  try {
    return globalThis.localStorage ?? memoryStorage();
  } catch {
    return memoryStorage(); // a browser that forbids it
  }
}

/**
 * Keeps the session in a storage that all tabs share, and tells when it changes, here or in another
 * tab. Always reads the storage: what another tab refreshed is good here at once.
 */
export class SessionStore {
  readonly #storage: TokenStorage;
  readonly #key: string;
  readonly #listeners = new Set<(session: Session | undefined) => void>();
  #raw: string | null = null;
  #session: Session | undefined;

  constructor(url: string, storage: TokenStorage = defaultStorage()) {
    this.#storage = storage;
    this.#key = `resonance.session:${url}`;
    this.get();
    globalThis.addEventListener?.("storage", (event: Event) => {
      const { key } = event as StorageEvent;
      if (key === this.#key || key === null) this.#changed();
    });
  }

  /** The name of the lock that guards a refresh. */
  get lock(): string {
    return this.#key;
  }

  get(): Session | undefined {
    const raw = this.#storage.getItem(this.#key);
    if (raw !== this.#raw) {
      this.#raw = raw;
      this.#session = parse(raw);
    }
    return this.#session;
  }

  set(session: Session | undefined): void {
    if (session) this.#storage.setItem(this.#key, JSON.stringify(session));
    else this.#storage.removeItem(this.#key);
    this.#changed();
  }

  /** Calls back with every change until the returned function is called. */
  listen(listener: (session: Session | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #changed(): void {
    const session = this.get();
    for (const listener of [...this.#listeners]) listener(session);
  }
}

function parse(raw: string | null): Session | undefined {
  if (raw === null) return undefined;
  try {
    const s = JSON.parse(raw) as Partial<Session> | null;
    if (typeof s?.accessToken === "string" && typeof s.refreshToken === "string" && typeof s.expiresAt === "number") {
      return { role: "viewer", life: 900, ...s } as Session;
    }
  } catch {
    // Somebody else's value: no session.
  }
  return undefined;
}
