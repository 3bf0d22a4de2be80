import type { LiveEvent } from "@refinedev/core";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import WebSocket from "ws";
import type { Resonance } from "../src/index.ts";
import { app, appOf } from "./app.ts";
import { Product, password, sandbox, until } from "./product.ts";
import { Relay } from "./relay.ts";

let product: Product;
let ids: string[];

beforeAll(async () => {
  product = await Product.start(inject("bin"), 60);
  const { dataProvider } = await appOf("viewer", { url: product.url });
  ids = (await dataProvider.getList({ resource: "orders", pagination: { pageSize: 60 } })).data.map(
    (r) => r.id as string,
  );
});
afterAll(() => product?.remove());

/** Changes an order as somebody in Airtable does. */
const change = (id: string | undefined, customer: string) =>
  sandbox(product.airtable, "POST", "records", { update: [{ ids: [id], fields: { Customer: customer } }] });

/** Subscribes as Refine's hooks do, and remembers the events. */
function listen(resonance: Resonance, more: { types?: string[]; ids?: string[] } = {}) {
  const events: LiveEvent[] = [];
  const subscription = resonance.liveProvider.subscribe({
    channel: "resources/orders",
    types: more.types ?? ["*"],
    params: { resource: "orders", ...(more.ids ? { ids: more.ids } : {}) },
    callback: (event) => events.push(event),
  });
  return {
    events,
    ids: () => events.flatMap((e) => e.payload.ids ?? []),
    end: () => resonance.liveProvider.unsubscribe(subscription),
  };
}

const open = (resonance: Resonance) => until(() => resonance.liveProvider.state === "open");

async function connected(options = {}) {
  const resonance = await appOf("viewer", { url: product.url, ...options });
  const heard = listen(resonance);
  await open(resonance);
  return { resonance, heard };
}

describe.each([
  ["WebSocket", {}],
  ["server-sent events", { WebSocket: undefined }],
])("over %s", (_, transport) => {
  it("tells what changed, to those whom it concerns", async () => {
    const { resonance, heard } = await connected(transport);
    const one = listen(resonance, { ids: [ids[1] as string] });
    const deletions = listen(resonance, { types: ["deleted"] });
    const nobody = listen(resonance, { ids: [ids[3] as string] });
    const gone = listen(resonance);
    gone.end();
    await change(ids[1], `Told ${Math.random()}`);
    await until(() => heard.ids().includes(ids[1] as string));
    expect(heard.events[0]).toMatchObject({
      channel: "resources/orders",
      type: "updated",
      payload: { ids: [ids[1]] },
      date: expect.any(Date),
    });
    expect(one.ids()).toEqual([ids[1]]);
    const made = (await sandbox(product.airtable, "POST", "records", {
      create: [{ Order: "New", Customer: "Live" }],
    })) as { created: string[] };
    await until(() =>
      heard.events.some((e) => e.type === "created" && e.payload.ids?.includes(made.created[0] as string)),
    );
    expect([one.events.length, deletions.events.length, nobody.events.length, gone.events.length]).toEqual([
      1, 0, 0, 0,
    ]);
    await sandbox(product.airtable, "POST", "records", { delete: made.created });
    const { client } = await appOf("operator", { url: product.url });
    await client.json("/api/orders/sync", { method: "POST", body: { mode: "full" } });
    await until(() => deletions.ids().includes(made.created[0] as string));
    heard.end();
    one.end();
    deletions.end();
    nobody.end();
    await until(() => resonance.liveProvider.state === "idle");
  });

  it("comes back with its cursor when it is cut off, and misses nothing", async () => {
    const relay = await Relay.before(product.url);
    try {
      const { resonance, heard } = await connected({ ...transport, url: relay.url });
      const states: string[] = [];
      const end = resonance.liveProvider.onState((state) => states.push(state));
      for (const round of [0, 1, 2]) {
        relay.fault = () => "cut";
        relay.cut();
        await until(() => resonance.liveProvider.state === "waiting");
        const [a, b] = [ids[10 + 2 * round], ids[11 + 2 * round]] as [string, string];
        await change(a, `Missed ${round} ${Math.random()}`);
        await change(b, `Missed ${round} ${Math.random()}`);
        await until(
          async () =>
            (await customer(a)).includes(`Missed ${round}`) && (await customer(b)).includes(`Missed ${round}`),
        );
        relay.fault = () => undefined;
        await until(() => heard.ids().includes(a) && heard.ids().includes(b));
      }
      expect(heard.events.every((e) => e.type === "updated")).toBe(true);
      expect(heard.ids()).toHaveLength(6); // and nothing twice
      expect(states).toContain("waiting");
      end();
      heard.end();
    } finally {
      await relay.close();
    }
  });

  it("comes back when the gateway was restarted", async () => {
    const { resonance, heard } = await connected(transport);
    await change(ids[20], `Before ${Math.random()}`);
    await until(() => heard.ids().includes(ids[20] as string));
    await product.stop();
    await until(() => resonance.liveProvider.state === "waiting");
    await product.run();
    await open(resonance);
    await change(ids[21], `After ${Math.random()}`);
    await until(() => heard.ids().includes(ids[21] as string));
    expect(heard.ids().filter((id) => id === ids[20])).toHaveLength(1);
    heard.end();
  });

  it("tells how the sync goes", async () => {
    const { resonance, heard } = await connected(transport);
    const syncs: { state: string; last?: { trigger: string; id: string } }[] = [];
    const end = resonance.liveProvider.onSync((sync) => syncs.push(sync));
    const { client } = await appOf("operator", { url: product.url });
    const { data } = await client.json<{ id: string }>("/api/orders/sync", { method: "POST", body: {} });
    await until(() => syncs.some((s) => s.last?.id === data.id || s.last?.trigger === "interval"));
    const late: unknown[] = [];
    resonance.liveProvider.onSync((sync) => late.push(sync))();
    expect(late).toHaveLength(1); // what is known is told at once
    end();
    heard.end();
  });
});

/** The customer of an order as the product serves it. */
async function customer(id: string): Promise<string> {
  const { dataProvider } = await appOf("viewer", { url: product.url });
  return (await dataProvider.getOne({ resource: "orders", id })).data.customer;
}

it("uses one connection for everybody, and hands over renewed tokens", async () => {
  const relay = await Relay.before(product.url);
  try {
    const { resonance, heard } = await connected({ url: relay.url });
    const more = Array.from({ length: 10 }, () => listen(resonance));
    const before = resonance.client.session.get();
    // Tokens of one second are the same.
    await until(async () => {
      const session = resonance.client.session.get();
      return session && (await resonance.client.refresh(session))?.accessToken !== before?.accessToken;
    });
    await change(ids[30], `Many ${Math.random()}`);
    await until(() => more.every((m) => m.ids().includes(ids[30] as string)));
    expect(relay.count("GET /ws")).toBe(1);
    for (const m of more) m.end();
    heard.end();
  } finally {
    await relay.close();
  }
});

it("renews the token before its connection ends with it", async () => {
  const relay = await Relay.before(product.url);
  try {
    const sent: { token: string }[] = [];
    class Recorder extends WebSocket {
      override send(data: string) {
        sent.push(JSON.parse(data));
        super.send(data);
      }
    }
    const { resonance, heard } = await connected({ url: relay.url, WebSocket: Recorder });
    const session = resonance.client.session.get();
    if (!session) throw new Error("not logged in");
    resonance.client.session.set({ ...session, expiresAt: Date.now() + 61_000 });
    await until(() => relay.count("POST /token/refresh") === 1);
    await until(() => (resonance.client.session.get()?.expiresAt ?? 0) > Date.now() + 800_000);
    expect(sent.at(-1)).toEqual({ token: resonance.client.session.get()?.accessToken });
    expect(sent.length).toBeGreaterThan(1);
    expect(relay.count("GET /ws")).toBe(1);
    expect(resonance.liveProvider.state).toBe("open");
    heard.end();
  } finally {
    await relay.close();
  }
});

it("gets another token when its own is refused", async () => {
  const resonance = await appOf("viewer", { url: product.url });
  const session = resonance.client.session.get();
  if (!session) throw new Error("not logged in");
  resonance.client.session.set({ ...session, accessToken: "expired" });
  const heard = listen(resonance);
  await open(resonance);
  expect(resonance.client.session.get()?.accessToken).not.toBe("expired");
  heard.end();
});

it("takes server-sent events where no WebSocket gets through", async () => {
  const relay = await Relay.before(product.url);
  try {
    relay.fault = ({ url }) => (url === "/ws" ? 502 : undefined);
    const { heard } = await connected({ url: relay.url });
    expect(relay.count("GET /api/events")).toBe(1);
    await change(ids[31], `Stream ${Math.random()}`);
    await until(() => heard.ids().includes(ids[31] as string));
    heard.end();
  } finally {
    await relay.close();
  }
});

it("begins when somebody logs in, and ends when they log out", async () => {
  const resonance = app({ url: product.url });
  const heard = listen(resonance);
  expect(resonance.liveProvider.state).toBe("idle");
  await resonance.client.login("viewer", password);
  await open(resonance);
  await resonance.client.logout();
  expect(resonance.liveProvider.state).toBe("idle");
  await resonance.client.login("operator", password);
  await open(resonance);
  heard.end();
});

it("tells of a burst in few events, and of what changed between reading and connecting", async () => {
  const resonance = await appOf("viewer", { url: product.url, interval: 500 });
  await resonance.dataProvider.getList({ resource: "orders" });
  const heard = listen(resonance);
  await until(() => heard.events.some((e) => e.type === "*" && e.payload.ids?.length === 0));
  for (let i = 32; i < 52; i++) await change(ids[i], `Burst ${Math.random()}`);
  await until(() => ids.slice(32, 52).every((id) => heard.ids().includes(id)));
  expect(heard.events.length).toBeLessThanOrEqual(8);
  heard.end();
});

it("tells of a change only when what is being read is read", async () => {
  const relay = await Relay.before(product.url);
  try {
    const { resonance, heard } = await connected({ url: relay.url });
    let answer: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const held = app({
      url: relay.url,
      fetch: async (input, init) => {
        if (String(input).includes("/api/orders")) await slow;
        return fetch(input, init);
      },
    });
    held.client.session.set(resonance.client.session.get());
    const heldHeard = listen(held);
    await open(held);
    const reading = held.dataProvider.getList({ resource: "orders" });
    await change(ids[53], `Held ${Math.random()}`);
    await until(() => heard.ids().includes(ids[53] as string));
    expect(heldHeard.events).toEqual([]);
    answer();
    await reading;
    await until(() => heldHeard.ids().includes(ids[53] as string));
    heard.end();
    heldHeard.end();
  } finally {
    await relay.close();
  }
});
