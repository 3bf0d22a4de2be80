import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const binary = process.env.RESONANCE_BINARY ?? join(import.meta.dirname, "../../../.bin/resonance");

/** Everybody's password. */
export const password = "correct horse battery";
/** What access tokens are signed with, so that a test can make one that has expired. */
export const secret = "a secret of the tests, with more than 32 bytes";

/** An order as the API gives it, as far as the tests look. */
export interface Order {
  record_id: string;
  name: string;
  customer: string;
  status: string;
  priority: string;
  amount: number;
  edit?: { state: string };
}

/** Those that run, so that none outlives the tests, however these end. */
const running = new Set<ChildProcess>();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));
process.once("exit", () => {
  for (const child of running) child.kill();
});

/** The whole product in one process, as `make run` starts it, on ports and data of its own. */
export class Product {
  readonly url: string;
  readonly #airtable: string;
  readonly #odoo: string;
  readonly #dir = mkdtempSync(join(tmpdir(), "resonance-e2e-"));
  readonly #env: NodeJS.ProcessEnv;
  #token: string | undefined;
  #process: ChildProcess | undefined;

  private constructor([http, nats, airtable, odoo]: number[], env: NodeJS.ProcessEnv) {
    this.url = `http://127.0.0.1:${http}`;
    this.#airtable = `http://127.0.0.1:${airtable}`;
    this.#odoo = `http://127.0.0.1:${odoo}`;
    this.#env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      DATA_DIR: this.#dir,
      USERS_FILE: join(this.#dir, "users"),
      HTTP_ADDR: `127.0.0.1:${http}`,
      NATS_ADDR: `127.0.0.1:${nats}`,
      AIRTABLE_SANDBOX_ADDR: `127.0.0.1:${airtable}`,
      ODOO_SANDBOX_ADDR: `127.0.0.1:${odoo}`,
      AIRTABLE_SANDBOX_ORDERS: "500",
      AIRTABLE_SANDBOX_RATE: "0",
      SYNC_INTERVAL_MINUTES: "0.05",
      ODOO_POLL_SECONDS: "0.5",
      JWT_SECRET: secret,
      ADMIN_PASSWORD: password,
      ...env,
    };
  }

  /** Starts one with users of every role, and waits until it knows all orders. */
  static async start(env: NodeJS.ProcessEnv = {}): Promise<Product> {
    const gateway = join(dirname(binary), "gateway");
    for (const file of [binary, gateway]) if (!existsSync(file)) throw new Error(`${file} is missing: make build`);
    const product = new Product(await freePorts(4), env);
    for (const role of ["viewer", "operator"]) {
      execFileSync(gateway, ["user", role, role], { env: product.#env, input: `${password}\n` });
    }
    await product.run();
    return product;
  }

  /** Starts it, also again after `end`, on the same ports and data. */
  async run(): Promise<void> {
    const log = join(this.#dir, "log");
    const out = openSync(log, "a");
    const child = spawn(binary, { env: this.#env, cwd: this.#dir, stdio: ["ignore", out, out] });
    running.add(child);
    child.once("exit", () => running.delete(child));
    this.#process = child;
    await until("the product is ready", 60_000, async () => {
      if (child.exitCode !== null) throw new Error(`the product ended:\n${readFileSync(log, "utf8")}`);
      if (!(await fetch(`${this.url}/readyz`).catch(() => undefined))?.ok) return false;
      const { total } = await this.api<{ total: number }>("/api/orders?page_size=1");
      return total >= Number(this.#env.AIRTABLE_SANDBOX_ORDERS);
    });
  }

  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  async remove(): Promise<void> {
    await this.end();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Asks the API as the administrator. */
  async api<T>(path: string, method = "GET", body?: unknown): Promise<T> {
    this.#token ??= (
      await json<{ access_token: string }>(`${this.url}/token`, "POST", undefined, { username: "admin", password })
    ).access_token;
    return json(`${this.url}${path}`, method, this.#token, body);
  }

  async order(id: string): Promise<Order> {
    return this.api(`/api/orders/id/${id}`);
  }

  /** Asks the control API of the sandbox of Airtable; control_http.go lists what it knows. */
  async airtable<T>(topic: string, method = "GET", body?: unknown): Promise<T> {
    return json(
      `${this.#airtable}/_sandbox/${topic}`,
      method,
      `patSandboxSandbox.${"0123456789abcdef".repeat(4)}`,
      body,
    );
  }

  /** Calls a method of the sandbox of Odoo over JSON-2. */
  async odoo<T>(model: string, method: string, args: unknown): Promise<T> {
    return json(`${this.#odoo}/json/2/${model}/${method}`, "POST", "key-admin", args);
  }

  /** Changes a record as a person in Airtable does. */
  async changeInAirtable(id: string, fields: Record<string, unknown>): Promise<void> {
    await this.airtable("records", "POST", { update: [{ ids: [id], fields }] });
  }

  /** What Airtable holds of a record. */
  async inAirtable(id: string): Promise<Record<string, unknown>> {
    return (await this.airtable<{ fields: Record<string, unknown> }>(`records/${id}`)).fields;
  }
}

async function json<T>(url: string, method: string, token?: string, body?: unknown): Promise<T> {
  const response = await fetch(url, {
    method,
    headers: {
      "Content-Type": "application/json",
      "Accept-Language": "en",
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return JSON.parse(text);
}

/** Asks again and again until the answer is true, or throws after `timeout` ms. */
export async function until(what: string, timeout: number, ask: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + timeout;
  while (!(await ask())) {
    if (Date.now() > end) throw new Error(`not within ${timeout / 1000} s: ${what}`);
    await sleep(100);
  }
}

async function freePorts(n: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: n }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
