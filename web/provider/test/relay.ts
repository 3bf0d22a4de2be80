import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";

/** A status to answer with, or to cut the connection: before the request is passed on, or after its answer came. */
type Outcome = number | "cut" | "lose";

/** What is done with a request; undefined passes it on. */
type Fault = (request: IncomingMessage) => Outcome | undefined;

/** A proxy before the gateway that counts, and makes the network fail. */
export class Relay {
  /** Method and path of every request, WebSockets too. */
  readonly seen: string[] = [];
  fault: Fault = () => undefined;
  readonly #server = createServer((incoming, answer) => this.#relay(incoming, answer));
  readonly #sockets = new Set<Socket>();
  readonly #target: URL;
  url = "";

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server.on("upgrade", (incoming, socket, head) => this.#upgrade(incoming, socket as Socket, head));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  static async before(target: string): Promise<Relay> {
    const relay = new Relay(target);
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    relay.url = `http://127.0.0.1:${(relay.#server.address() as { port: number }).port}`;
    return relay;
  }

  /** How many requests there were for a path. */
  count(request: string): number {
    return this.seen.filter((s) => s === request).length;
  }

  /** Cuts every connection there is. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #faultOf(incoming: IncomingMessage): Outcome | undefined {
    this.seen.push(`${incoming.method} ${incoming.url?.split("?")[0]}`);
    return this.fault(incoming);
  }

  #relay(incoming: IncomingMessage, answer: ServerResponse): void {
    const fault = this.#faultOf(incoming);
    if (fault === "cut") {
      incoming.socket.destroy();
      return;
    }
    if (typeof fault === "number") {
      incoming.resume();
      answer.writeHead(fault, {
        "Content-Type": "application/problem+json",
        ...(fault === 503 ? { "Retry-After": "0" } : {}),
      });
      answer.end(JSON.stringify({ title: "Injected", status: fault, detail: `injected ${fault}` }));
      return;
    }
    const { method, headers, url } = incoming;
    const outgoing = request(
      { host: this.#target.hostname, port: this.#target.port, method, path: url, headers },
      (reply) => {
        if (fault === "lose") {
          answer.destroy();
          return;
        }
        answer.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(answer);
        reply.on("error", () => answer.destroy());
      },
    );
    outgoing.on("error", () => answer.destroy());
    answer.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  #upgrade(incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    const fault = this.#faultOf(incoming);
    if (fault !== undefined) {
      socket.end(typeof fault === "number" ? `HTTP/1.1 ${fault} Injected\r\nContent-Length: 0\r\n\r\n` : "");
      return;
    }
    const upstream = connect(Number(this.#target.port), this.#target.hostname, () => {
      const headers = Object.entries(incoming.headers).map(([name, value]) => `${name}: ${value}`);
      upstream.write(`GET ${incoming.url} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    for (const [one, other] of [
      [upstream, socket],
      [socket, upstream],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  }
}
