import { ApiError, errorFrom } from "./error.ts";
import { type Language, languageOf, ownText, type TextKey, type Translate } from "./language.ts";
import { type Session, SessionStore, sessionOf, type TokenStorage } from "./session.ts";
import type { Tokens } from "./types.ts";

export interface ClientOptions {
  /** Where the API is; "" (the default) for the page's own origin. */
  url?: string;
  /** Where the tokens are kept; localStorage, or memory where there is none. */
  storage?: TokenStorage;
  /** Of the API's texts: "es" (the default), "en", or a function that says which. */
  language?: string | (() => string);
  /** Of Odoo, for multi-company databases; sent as X-Company-Id. */
  company?: number | (() => number | undefined);
  /** Texts of this package (keys `resonance.*`) in the app's words; its own are Spanish and English. */
  translate?: Translate;
  /** Milliseconds to wait for an answer; 30,000. */
  timeout?: number;
  fetch?: typeof fetch;
}

export interface RequestOptions {
  method?: string;
  query?: URLSearchParams;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string | undefined>;
  signal?: AbortSignal;
  /** Milliseconds; 0 waits for ever. */
  timeout?: number;
  /** Send no token, and do not take a 401 for an expired one. */
  anonymous?: boolean;
}

const keepaliveLimit = 8 * 1024; // characters of a body

/** Sends requests with the session's token, which it renews in time, once for all that need it. */
export class Client {
  readonly url: string;
  readonly session: SessionStore;
  readonly #options: ClientOptions;
  readonly #fetch: typeof fetch;
  #language: string | (() => string);
  #company: number | (() => number | undefined) | undefined;
  #refreshing: Promise<Session | undefined> | undefined;

  constructor(options: ClientOptions = {}) {
    this.#options = options;
    this.url = (options.url ?? "").replace(/\/+$/, "");
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#language = options.language ?? "es";
    this.#company = options.company;
    this.session = new SessionStore(this.url, options.storage);
  }

  get language(): Language {
    return languageOf(this.locale);
  }

  /** The language as it was given, such as `en-GB`. */
  get locale(): string {
    return typeof this.#language === "function" ? this.#language() : this.#language;
  }

  setLanguage(language: string | (() => string)): void {
    this.#language = language;
  }

  get company(): number | undefined {
    return typeof this.#company === "function" ? this.#company() : this.#company;
  }

  setCompany(company: number | undefined): void {
    this.#company = company;
  }

  /** A text of this package. */
  text(key: TextKey, options?: Record<string, unknown>): string {
    const own = ownText(key, this.language, options) ?? key;
    const app = this.#options.translate?.(key, options, own);
    return app === undefined || app === key ? own : app;
  }

  /** The address of a path of the API. */
  address(path: string, query?: URLSearchParams): string {
    const q = query?.toString();
    return this.url + path + (q ? `?${q}` : "");
  }

  /** Sends a request and gives the answer if it is a success. Rejects with an ApiError, always. */
  async request(path: string, options: RequestOptions = {}): Promise<Response> {
    let session = options.anonymous ? undefined : await this.current();
    let response = await this.#send(path, options, session);
    if (response.status === 401 && session) {
      await response.body?.cancel();
      session = await this.refresh(session);
      if (!session) throw new ApiError(401, this.text("resonance.signedOut"));
      response = await this.#send(path, options, session);
    }
    if (!response.ok) throw await errorFrom(response, this.text("resonance.answer"));
    return response;
  }

  /** Sends a request and gives the JSON of the answer. */
  async json<T>(path: string, options: RequestOptions = {}): Promise<{ data: T; response: Response }> {
    const response = await this.request(path, options);
    if (response.status === 204) return { data: undefined as T, response };
    try {
      return { data: (await response.json()) as T, response };
    } catch (cause) {
      throw this.#broken(cause, options.signal);
    }
  }

  async login(username: string, password: string): Promise<Session> {
    const body = { grant_type: "password", username, password };
    const { data } = await this.json<Tokens>("/token", { method: "POST", body, anonymous: true });
    const session = sessionOf(data, username);
    this.session.set(session);
    return session;
  }

  /** Forgets the session here and in all tabs, then ends it on the server as far as that is reached. */
  async logout(): Promise<void> {
    const session = this.session.get();
    this.session.set(undefined);
    if (session) await this.#revoke(session.refreshToken);
  }

  /**
   * Exchanges the refresh token unless somebody, in this tab or another, has just done so: `stale` is
   * the session whose access token is not good any more. Undefined when the session is over. Rejects when the
   * server is not reached, and the session stays.
   */
  refresh(stale: Session): Promise<Session | undefined> {
    const now = this.session.get();
    if (now?.refreshToken !== stale.refreshToken) return Promise.resolve(now);
    this.#refreshing ??= exclusively(this.session.lock, () => this.#exchange(stale)).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** A token that is good for a while; undefined when nobody is logged in. */
  async token(): Promise<string | undefined> {
    return (await this.current())?.accessToken;
  }

  /** The session, with a token that is good for a while. */
  async current(): Promise<Session | undefined> {
    const session = this.session.get();
    if (!session || session.expiresAt - Date.now() > margin(session)) return session;
    try {
      return await this.refresh(session);
    } catch (error) {
      if (session.expiresAt > Date.now()) return session;
      throw error;
    }
  }

  async #exchange(stale: Session): Promise<Session | undefined> {
    const before = this.session.get();
    if (before?.refreshToken !== stale.refreshToken) return before;
    const body = { grant_type: "refresh_token", refresh_token: before.refreshToken };
    let tokens: Tokens;
    try {
      tokens = (await this.json<Tokens>("/token/refresh", { method: "POST", body, anonymous: true })).data;
    } catch (error) {
      if (!(error instanceof ApiError) || error.statusCode !== 401) throw error;
      const now = this.session.get();
      if (now?.refreshToken !== before.refreshToken) return now; // another tab was first, without a lock
      this.session.set(undefined);
      return undefined;
    }
    if (this.session.get()?.refreshToken !== before.refreshToken) {
      await this.#revoke(tokens.refresh_token); // logged out meanwhile
      return this.session.get();
    }
    const session = sessionOf(tokens, before.username);
    this.session.set(session);
    return session;
  }

  async #revoke(refreshToken: string): Promise<void> {
    try {
      const body = { refresh_token: refreshToken };
      await this.request("/token/revoke", { method: "POST", body, anonymous: true, timeout: 5000 });
    } catch {
      // The server is away; the token is forgotten here, and ends by itself.
    }
  }

  async #send(path: string, options: RequestOptions, session: Session | undefined): Promise<Response> {
    const headers = new Headers({ Accept: "application/json", "Accept-Language": this.locale });
    if (session) headers.set("Authorization", `Bearer ${session.accessToken}`);
    if (this.company !== undefined) headers.set("X-Company-Id", String(this.company));
    const init: RequestInit = { method: options.method ?? "GET", headers, credentials: "omit" };
    if (options.body !== undefined) {
      headers.set("Content-Type", "application/json");
      const body = JSON.stringify(options.body);
      init.body = body;
      // Sent to the end even when the page is left. Browsers limit what is under way like that to 64 KiB in all.
      init.keepalive = body.length <= keepaliveLimit;
    }
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      if (value !== undefined) headers.set(name, value);
    }
    const timeout = options.timeout ?? this.#options.timeout ?? 30_000;
    const signals = [options.signal, timeout > 0 ? AbortSignal.timeout(timeout) : undefined].filter((s) => !!s);
    if (signals.length > 0) init.signal = AbortSignal.any(signals);
    try {
      return await this.#fetch(this.address(path, options.query), init);
    } catch (cause) {
      throw this.#broken(cause, options.signal);
    }
  }

  /** What a request is rejected with that got no answer, or half of one. An abort stays what it is. */
  #broken(cause: unknown, signal?: AbortSignal): unknown {
    if (signal?.aborted) return cause;
    const late = cause instanceof Error && cause.name === "TimeoutError";
    const key = late ? "resonance.timeout" : cause instanceof SyntaxError ? "resonance.answer" : "resonance.offline";
    return new ApiError(0, this.text(key), { cause });
  }
}

/** How long before its end a token is renewed, in milliseconds. */
export function margin(session: Session): number {
  return Math.min(60_000, session.life * 250);
}

/**
 * Runs one at a time among all tabs of this origin. Where the browser has no locks (pages served
 * without TLS), the server's grace window for refresh tokens has to do.
 */
function exclusively<T>(name: string, run: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  return locks ? (locks.request(name, run) as Promise<T>) : run();
}
