import type { Client } from "./client.ts";
import { ApiError } from "./error.ts";
import type { Message } from "./types.ts";

/** The close code for a token that is bad or has expired. */
export const tokenRefused = 4401;

export interface Connection {
  close(): void;
  /** Hands over a newer token, where that can be done without a new connection. */
  renew?(token: string): void;
  /** Fulfilled with the close code, once; never rejected. */
  ended: Promise<number>;
}

interface Events {
  message(message: Message): void;
}

const opening = 10_000; // ms until the first message
const silence = 60_000; // ms between two signs of life of a stream; the server gives one every 25 s

/** Opens GET /ws. Browsers cannot send headers with it: the token goes into the first message. */
export function openSocket(
  WebSocket: typeof globalThis.WebSocket,
  client: Client,
  token: string,
  since: string | undefined,
  events: Events,
): Connection {
  const base = client.url || globalThis.location?.origin || "";
  const socket = new WebSocket(`${base.replace(/^http/, "ws")}/ws`);
  let end: (code: number) => void = () => undefined;
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  const late = setTimeout(() => close(0), opening);
  // The handshake of a dead connection may never end: nobody waits for it.
  const close = (code: number) => {
    clearTimeout(late);
    socket.onmessage = null;
    socket.close();
    end(code);
  };
  socket.onopen = () => socket.send(JSON.stringify({ token, ...(since === undefined ? {} : { since }) }));
  socket.onmessage = ({ data }) => {
    clearTimeout(late);
    const message = parse(data);
    if (message) events.message(message);
  };
  socket.onerror = () => undefined; // a close follows
  socket.onclose = ({ code }) => close(code);
  return {
    close: () => close(1000),
    renew: (newer) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ token: newer }));
    },
    ended,
  };
}

/** Opens GET /api/events, for where proxies let no WebSocket through. */
export function openStream(client: Client, since: string | undefined, events: Events): Connection {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), opening);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(), silence);
  };
  const read = async (): Promise<number> => {
    const query = new URLSearchParams(since === undefined ? {} : { since });
    const headers = { Accept: "text/event-stream" };
    const response = await client.request("/api/events", { query, headers, signal: abort.signal, timeout: 0 });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value = "" } = (await reader?.read()) ?? { done: true };
      if (done) return 1000;
      alive();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const data = block.split("\n").filter((line) => line.startsWith("data:"));
        const message = data.length > 0 ? parse(data.map((line) => line.slice(5)).join("\n")) : undefined;
        if (message) events.message(message);
      }
    }
  };
  return {
    close: () => abort.abort(),
    ended: read()
      .catch((error) => (error instanceof ApiError && error.statusCode === 401 ? tokenRefused : 0))
      .finally(() => {
        clearTimeout(timer);
        abort.abort();
      }),
  };
}

function parse(data: unknown): Message | undefined {
  try {
    const message: unknown = JSON.parse(String(data));
    return typeof message === "object" && message !== null ? (message as Message) : undefined;
  } catch {
    return undefined; // nothing this version understands
  }
}
