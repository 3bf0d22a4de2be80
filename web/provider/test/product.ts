import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../../..");

/** Everybody's password in tests. */
export const password = "correct horse battery";

/** Builds the product; RESONANCE_BIN names a directory with binaries that are built already. */
export function build(): { bin: string; clean: () => void } {
  const given = process.env.RESONANCE_BIN;
  if (given) return { bin: given, clean: () => undefined };
  const bin = mkdtempSync(join(tmpdir(), "resonance-bin-"));
  execFileSync("go", ["build", "-o", `${bin}/`, "./deploy/standalone", "./services/gateway/cmd/gateway"], {
    cwd: root,
    stdio: "inherit",
  });
  return { bin, clean: () => rmSync(bin, { recursive: true }) };
}

/** Where a running product is. */
export interface Addresses {
  url: string;
  airtable: string;
}

/** The whole product in one process, as `make run` starts it, with sandboxes and users of every role. */
export class Product {
  readonly url: string;
  readonly airtable: string;
  readonly #bin: string;
  readonly #dir = mkdtempSync(join(tmpdir(), "resonance-test-"));
  readonly #env: NodeJS.ProcessEnv;
  #process: ChildProcess | undefined;

  private constructor(bin: string, [http, nats, airtable]: number[], orders: number) {
    this.#bin = bin;
    this.url = `http://127.0.0.1:${http}`;
    this.airtable = `http://127.0.0.1:${airtable}`;
    this.#env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      DATA_DIR: this.#dir,
      USERS_FILE: join(this.#dir, "users"),
      HTTP_ADDR: `127.0.0.1:${http}`,
      NATS_ADDR: `127.0.0.1:${nats}`,
      AIRTABLE_SANDBOX_ADDR: `127.0.0.1:${airtable}`,
      AIRTABLE_SANDBOX_ORDERS: String(orders),
      AIRTABLE_SANDBOX_RATE: "0",
      AIRTABLE_RATE_LIMIT: "0",
      SYNC_INTERVAL_MINUTES: "0.02",
      JWT_SECRET: "a secret of the tests, with more than 32 bytes",
      ADMIN_PASSWORD: password,
      CORS_ORIGINS: "http://localhost:3000", // of jsdom's pages
    };
  }

  static async start(bin: string, orders: number): Promise<Product> {
    const product = new Product(bin, await freePorts(3), orders);
    for (const role of ["viewer", "operator"]) {
      execFileSync(join(bin, "gateway"), ["user", role, role], { env: product.#env, input: `${password}\n` });
    }
    await product.run();
    return product;
  }

  /** Starts it, and waits until it is ready and knows the orders. */
  async run(): Promise<void> {
    const log = openSync(join(this.#dir, "log"), "a");
    this.#process = spawn(join(this.#bin, "standalone"), { env: this.#env, stdio: ["ignore", log, log] });
    await until(async () => {
      if (this.#process?.exitCode !== null)
        throw new Error(`it ended:\n${readFileSync(join(this.#dir, "log"), "utf8")}`);
      const ready = await fetch(`${this.url}/readyz`).catch(() => undefined);
      return ready?.ok && (await this.#synced());
    });
  }

  /** Drains and stops it. */
  async stop(): Promise<void> {
    const running = this.#process;
    if (!running || running.exitCode !== null) return;
    const ended = new Promise((resolve) => running.once("exit", resolve));
    running.kill("SIGTERM");
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #synced(): Promise<boolean> {
    const body = JSON.stringify({ username: "admin", password });
    const login = await fetch(`${this.url}/token`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
    });
    if (!login.ok) return false;
    const { access_token } = (await login.json()) as { access_token: string };
    const state = await fetch(`${this.url}/api/orders/sync`, { headers: { Authorization: `Bearer ${access_token}` } });
    const { last } = (await state.json()) as { last?: { state: string } };
    const list = await fetch(`${this.url}/api/orders`, { headers: { Authorization: `Bearer ${access_token}` } });
    const { total } = (await list.json()) as { total?: number };
    return state.ok && last?.state === "succeeded" && total === Number(this.#env.AIRTABLE_SANDBOX_ORDERS);
  }
}

/** Asks the control API of the sandbox of Airtable. */
export async function sandbox(airtable: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`${airtable}/_sandbox/${path}`, {
    method,
    headers: {
      Authorization: `Bearer patSandboxSandbox.${"0123456789abcdef".repeat(4)}`,
      "Content-Type": "application/json",
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Polls until `condition` gives something, and gives that. */
export async function until<T>(
  condition: () => Promise<T | undefined | false | null> | T | undefined | false | null,
  patience = 60_000,
): Promise<T> {
  for (const end = Date.now() + patience; ; ) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not so after ${patience} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function freePorts(n: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: n }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => promisify(server.close.bind(server))()));
  return ports;
}
