import type { LiveEvent, LiveProvider } from "@refinedev/core";
import { type Client, margin } from "./client.ts";
import { resourceNames } from "./data.ts";
import { ApiError } from "./error.ts";
import type { Reads } from "./reads.ts";
import type { Session } from "./session.ts";
import { type Connection, openSocket, openStream, tokenRefused } from "./transport.ts";
import type { Message, SyncEvent } from "./types.ts";

/** How far an edit of an order has come. */
export interface EditEvent {
  recordId: string;
  id: string;
  state: "pending" | "applied" | "rejected";
}

/** `idle`: nobody listens or nobody is logged in; `waiting`: cut off, and will try again. */
export type LiveState = "idle" | "connecting" | "open" | "waiting";

export interface LiveOptions {
  /** undefined, if given: server-sent events are used instead. */
  WebSocket?: typeof WebSocket | undefined;
  /** Milliseconds between two events of one resource, at least; 500. */
  interval?: number;
  /** Milliseconds that a connection nobody uses any more is kept; 10,000. */
  linger?: number;
}

/** A live provider, and what else can be listened to. Every function returns one that ends it. */
export interface Live extends LiveProvider {
  readonly state: LiveState;
  onState(listener: (state: LiveState) => void): () => void;
  onEdit(listener: (edit: EditEvent) => void): () => void;
  onSync(listener: (sync: SyncEvent) => void): () => void;
}

type Kind = "created" | "updated" | "deleted";
type Options = Parameters<LiveProvider["subscribe"]>[0];

const most = 500; // ids of one event, beyond which it is of everything
const heldBack = 10_000; // ms that an event waits for reads to end
const first = 500; // ms before the first attempt to come back
const longest = 30_000; // ms before any other

/** What changed of a resource and is not told yet; null for what is not known in detail. */
type Gathered = Map<string, Kind> | null;

/** One connection for everybody who listens. It comes back with the cursor of what it saw last. */
export class LiveConnection implements Live {
  readonly #client: Client;
  readonly #reads: Reads;
  readonly #options: { interval: number; linger: number; WebSocket: typeof WebSocket | undefined };
  readonly #subscriptions = new Set<Options>();
  readonly #states = new Listeners<LiveState>();
  readonly #edits = new Listeners<EditEvent>();
  readonly #syncs = new Listeners<SyncEvent>();
  readonly #gathered = new Map<string, Gathered>();
  readonly #telling = new Set<string>();
  readonly #toldAt = new Map<string, number>();
  #state: LiveState = "idle";
  #sync: SyncEvent | undefined;
  #cursor: string | undefined;
  #user: string | undefined;
  #connection: Connection | undefined;
  #running: AbortController | undefined;
  #wake: (() => void) | undefined;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, reads: Reads, options: LiveOptions = {}) {
    this.#client = client;
    this.#reads = reads;
    const socket = "WebSocket" in options ? options.WebSocket : globalThis.WebSocket;
    this.#options = { interval: options.interval ?? 500, linger: options.linger ?? 10_000, WebSocket: socket };
    client.session.listen((session) => this.#loggedIn(session));
    globalThis.addEventListener?.("online", () => this.#restart());
    globalThis.addEventListener?.("offline", () => this.#connection?.close());
    globalThis.document?.addEventListener("visibilitychange", () => {
      if (globalThis.document.visibilityState === "visible") this.#wake?.();
    });
  }

  get state(): LiveState {
    return this.#state;
  }

  // Refine calls these as plain functions.
  subscribe = (options: Options): Options => {
    const subscription = { ...options };
    this.#subscriptions.add(subscription);
    this.#use();
    return subscription;
  };

  unsubscribe = (subscription: Options): void => {
    this.#subscriptions.delete(subscription);
    this.#use();
  };

  onState = (listener: (state: LiveState) => void): (() => void) => this.#listen(this.#states, listener);
  onEdit = (listener: (edit: EditEvent) => void): (() => void) => this.#listen(this.#edits, listener);

  /** Calls back at once too, if it is known how the sync stands. */
  onSync = (listener: (sync: SyncEvent) => void): (() => void) => {
    const end = this.#listen(this.#syncs, listener);
    if (this.#sync) listener(this.#sync);
    return end;
  };

  #listen<T>(listeners: Listeners<T>, listener: (value: T) => void): () => void {
    const end = listeners.add(listener);
    this.#use();
    return () => {
      end();
      this.#use();
    };
  }

  /** Connects while somebody listens. */
  #use(): void {
    clearTimeout(this.#leaving);
    if (this.#subscriptions.size + this.#states.size + this.#edits.size + this.#syncs.size > 0) this.#start();
    else this.#leaving = setTimeout(() => this.#stop(), this.#options.linger);
  }

  #start(): void {
    const session = this.#client.session.get();
    if (this.#running || !session) return;
    if (this.#user !== session.username) this.#cursor = undefined;
    this.#user = session.username;
    this.#running = new AbortController();
    void this.#run(this.#running.signal);
  }

  #stop(): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#connection?.close();
    this.#wake?.();
    this.#set("idle");
  }

  #loggedIn(session: Session | undefined): void {
    if (!session || (this.#user !== undefined && session.username !== this.#user)) {
      this.#stop();
      this.#cursor = undefined;
      this.#sync = undefined;
      this.#user = undefined;
    }
    if (!session) return;
    this.#connection?.renew?.(session.accessToken);
    this.#renewBefore(session);
    this.#use();
  }

  /** The network is back: what was open may be dead, and waiting longer is no use. */
  #restart(): void {
    this.#connection?.close();
    this.#wake?.();
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    let useStream = !this.#options.WebSocket;
    while (!signal.aborted) {
      this.#set("connecting");
      const { ready, refused } = await this.#connect(useStream, signal);
      if (signal.aborted) return;
      this.#set("waiting");
      failures = ready ? 0 : failures + 1;
      // What keeps a WebSocket from opening may let a stream through, and the other way round.
      useStream = !this.#options.WebSocket || (!ready && !useStream && !refused && (await this.#reached()));
      if (signal.aborted) return;
      if (refused && failures <= 1) continue; // with a new token
      const wait = Math.min(first * 2 ** failures, longest);
      await this.#sleep(wait * (0.5 + Math.random() / 2));
    }
  }

  /** Ends when the connection does. */
  async #connect(stream: boolean, signal: AbortSignal): Promise<{ ready: boolean; refused: boolean }> {
    const outcome = { ready: false, refused: false };
    let session: Session | undefined;
    try {
      session = await this.#client.current();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
    if (!session || signal.aborted) return outcome;
    const events = {
      message: (message: Message) => {
        if (signal.aborted) return;
        if (message.type === "ready") {
          outcome.ready = true;
          this.#set("open");
        }
        this.#take(message);
      },
    };
    const { WebSocket } = this.#options;
    const connection =
      stream || !WebSocket
        ? openStream(this.#client, this.#cursor, events)
        : openSocket(WebSocket, this.#client, session.accessToken, this.#cursor, events);
    this.#connection = connection;
    this.#renewBefore(session);
    const code = await connection.ended;
    if (this.#connection === connection) {
      this.#connection = undefined;
      clearTimeout(this.#renewal);
    }
    if (code === tokenRefused && !signal.aborted) {
      outcome.refused = true;
      await this.#client.refresh(session).catch(() => undefined); // without the server it is tried again
    }
    return outcome;
  }

  /** Reports whether the server is there, so that it is the WebSocket that does not get through. */
  async #reached(): Promise<boolean> {
    try {
      await this.#client.request("/healthz", { anonymous: true, timeout: 5000 });
      return true;
    } catch {
      return false;
    }
  }

  /** Sees to a new token before the connection's own ends; the session tells when it is there. */
  #renewBefore(session: Session): void {
    clearTimeout(this.#renewal);
    if (!this.#connection) return;
    const wait = Math.max(session.expiresAt - margin(session) - Date.now() + 50, 1000);
    this.#renewal = setTimeout(() => {
      this.#client.token().catch(() => undefined); // the connection ends, and is tried again
    }, wait);
  }

  #sleep(wait: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #set(state: LiveState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#states.tell(state);
  }

  #take(message: Message): void {
    if (message.type === "ready" && this.#cursor === undefined) {
      // What was read before may have changed before this was there to see it.
      for (const name of resourceNames) if (this.#reads.began(name)) this.#gather(name, null);
    }
    this.#cursor = message.cursor ?? this.#cursor;
    for (const name of message.reset ?? []) this.#gather(name, null);
    for (const { resource, many, ...lists } of message.changes ?? []) {
      if (many) this.#gather(resource, null);
      for (const kind of ["created", "updated", "deleted"] as const) {
        for (const id of lists[kind] ?? []) this.#gather(resource, { id, kind });
      }
    }
    for (const { record_id, id, state } of message.edits ?? []) this.#edits.tell({ recordId: record_id, id, state });
    if (message.sync) {
      this.#sync = message.sync;
      this.#syncs.tell(this.#sync);
    }
  }

  #gather(resource: string, change: { id: string; kind: Kind } | null): void {
    const all = this.#gathered.get(resource);
    if (all === null) return;
    const gathered = all ?? new Map<string, Kind>();
    if (change && !(gathered.get(change.id) === "created" && change.kind === "updated"))
      gathered.set(change.id, change.kind);
    this.#gathered.set(resource, change && gathered.size <= most ? gathered : null);
    if (!this.#telling.has(resource)) void this.#tell(resource);
  }

  /** Tells what was gathered of a resource, not too often and not while it is being read. */
  async #tell(resource: string): Promise<void> {
    this.#telling.add(resource);
    const wait = (this.#toldAt.get(resource) ?? 0) + this.#options.interval - Date.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    await this.#reads.settled(resource, heldBack);
    const gathered = this.#gathered.get(resource);
    this.#gathered.delete(resource);
    this.#toldAt.set(resource, Date.now());
    this.#telling.delete(resource);
    for (const event of eventsOf(resource, gathered ?? null)) {
      for (const subscription of [...this.#subscriptions]) {
        if (concerns(event, subscription)) isolated(subscription.callback, event);
      }
    }
  }
}

function eventsOf(resource: string, gathered: Gathered): LiveEvent[] {
  const event = (type: string, ids: (string | number)[]) => {
    return { channel: `resources/${resource}`, type, payload: { ids }, date: new Date() };
  };
  if (!gathered) return [event("*", [])];
  return (["created", "updated", "deleted"] as const).flatMap((kind) => {
    const ids = [...gathered].filter(([, k]) => k === kind).map(([id]) => (resource === "orders" ? id : Number(id)));
    return ids.length > 0 ? [event(kind, ids)] : [];
  });
}

/** An event without ids concerns everybody; so does any event a subscription without ids. */
function concerns(event: LiveEvent, { channel, types, params }: Options): boolean {
  if (channel !== event.channel) return false;
  if (event.type !== "*" && !types.includes("*") && !types.includes(event.type)) return false;
  const ids = event.payload.ids ?? [];
  const wanted = params?.ids ?? [];
  return ids.length === 0 || wanted.length === 0 || wanted.some((id) => ids.map(String).includes(String(id)));
}

class Listeners<T> {
  readonly #all = new Set<{ call: (value: T) => void }>();

  get size(): number {
    return this.#all.size;
  }

  add(call: (value: T) => void): () => void {
    const listener = { call };
    this.#all.add(listener);
    return () => void this.#all.delete(listener);
  }

  tell(value: T): void {
    for (const { call } of [...this.#all]) isolated(call, value);
  }
}

/** What one listener throws must not keep the others from hearing; it is reported as uncaught. */
function isolated<T>(call: (value: T) => void, value: T): void {
  try {
    call(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
