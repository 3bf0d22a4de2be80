import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import type { Order, PartialError, Resonance } from "../src/index.ts";
import { appOf } from "./app.ts";
import { Product } from "./product.ts";
import { Relay } from "./relay.ts";

let product: Product;
let relay: Relay;
let resonance: Resonance;
let ids: string[];

beforeAll(async () => {
  product = await Product.start(inject("bin"), 1100);
  const { dataProvider } = await appOf("viewer", { url: product.url });
  ids = (await dataProvider.getList({ resource: "orders", pagination: { mode: "off" } })).data.map(
    (r) => r.id as string,
  );
});
afterAll(() => product?.remove());
beforeEach(async () => {
  relay = await Relay.before(product.url);
  resonance = await appOf("operator", { url: relay.url });
});
afterEach(() => relay?.close());

const id = (i: number) => ids[i] as string;
const read = async (of: string) => (await resonance.dataProvider.getOne<Order>({ resource: "orders", id: of })).data;
const edit = (of: string, variables: object, meta = {}) =>
  resonance.dataProvider.update<Order, object>({ resource: "orders", id: of, variables, meta });
/** Gives an order a status it has not. */
async function another(of: string): Promise<string> {
  return (await read(of)).status === "Sent" ? "Delivered" : "Sent";
}

describe("an edit", () => {
  it("shows at once", async () => {
    const status = await another(id(0));
    const { data, etag } = (await edit(id(0), { status, id: id(0) })) as { data: Order; etag?: string };
    expect(data).toMatchObject({ id: id(0), status, edit: { values: { status }, actor: { id: "operator" } } });
    expect(etag).toMatch(/^".+"$/);
    expect((await read(id(0))).status).toBe(status);
  });

  it("that reads do not show yet is made, and says so", async () => {
    const later = await appOf("operator", {
      url: product.url,
      fetch: async (input, init) => {
        const answer = await fetch(input, init);
        return init?.method === "PATCH" ? new Response(answer.body, { status: 202, headers: answer.headers }) : answer;
      },
    });
    const status = await another(id(1));
    const made = await later.dataProvider.update<Order, object>({
      resource: "orders",
      id: id(1),
      variables: { status },
    });
    expect(made).toMatchObject({
      data: { status, edit: { state: "pending" } },
      etag: expect.any(String),
      lagging: true,
    });
    expect(await edit(id(1), { status: await another(id(1)) })).not.toHaveProperty("lagging");
  });

  it("is not made of another version than the one that was seen", async () => {
    const { etag } = (await resonance.dataProvider.getOne({ resource: "orders", id: id(3) })) as { etag?: string };
    await edit(id(3), { status: await another(id(3)) }, { ifMatch: etag });
    await expect(edit(id(3), { priority: "High" }, { ifMatch: etag })).rejects.toMatchObject({
      statusCode: 412,
      message: expect.any(String),
    });
  });

  it("is the same edit under the same key", async () => {
    const meta = { idempotencyKey: "the-same-key" };
    const one = await edit(id(4), { priority: "High" }, meta);
    const two = await edit(id(4), { priority: "High" }, meta);
    expect(two.data.edit?.id).toBe(one.data.edit?.id);
    await expect(edit(id(4), { priority: "Low" }, meta)).rejects.toMatchObject({ statusCode: 409 });
  });

  it("is made once though its answer is lost, or a service is away for a moment", async () => {
    const outcomes = ["lose", 503] as const;
    for (const outcome of outcomes) {
      let left = 1;
      const before = relay.seen.length;
      relay.fault = ({ method }) => (method === "PATCH" && left-- > 0 ? outcome : undefined);
      await edit(id(5), { status: await another(id(5)) });
      expect(relay.seen.slice(before).filter((s) => s.startsWith("PATCH"))).toHaveLength(2);
      const { data: history } = await resonance.client.json<{ data: { change: string; edit_ids?: string[] }[] }>(
        `/api/orders/${id(5)}/history`,
      );
      expect(new Set(history.data.flatMap((h) => h.edit_ids ?? [])).size).toBe(outcomes.indexOf(outcome) + 1);
    }
  });

  it("says by field what is wrong with it", async () => {
    const before = relay.seen.length;
    await expect(edit(id(6), { status: "Nope", priority: "Nope" })).rejects.toMatchObject({
      statusCode: 400,
      errors: { status: expect.stringContaining("must be one of"), priority: expect.any(String) },
    });
    await expect(edit(id(6), { amount: 3 })).rejects.toMatchObject({
      statusCode: 400,
      errors: { amount: expect.any(String) },
    });
    expect(relay.seen.slice(before).filter((s) => s.startsWith("PATCH"))).toHaveLength(2); // not repeated
    await expect(edit("recGONE0000000000", { status: "Sent" })).rejects.toMatchObject({ statusCode: 404 });
  });

  it("is not for viewers", async () => {
    const viewer = await appOf("viewer", { url: product.url });
    const forbidden = viewer.dataProvider.update({ resource: "orders", id: id(7), variables: { status: "Sent" } });
    await expect(forbidden).rejects.toMatchObject({ statusCode: 403 });
  });
});

describe("many edits", () => {
  it("are made a thousand at once", async () => {
    const { data } = await resonance.dataProvider.updateMany<Order>({
      resource: "orders",
      ids,
      variables: { priority: "Medium" },
    });
    expect(data.map((o) => o.id)).toEqual(ids);
    expect(data.every((o) => o.priority === "Medium")).toBe(true);
    expect(relay.count("PATCH /api/orders")).toBe(2);
    const filters = [{ field: "priority", operator: "eq" as const, value: "Medium" }];
    const { total } = await resonance.dataProvider.getList({ resource: "orders", filters });
    expect(total).toBe(ids.length);
  });

  it("that succeed in part say which did not, and why", async () => {
    const some = [id(10), "recGONE0000000000", id(11)];
    const error = (await resonance.dataProvider
      .updateMany({ resource: "orders", ids: some, variables: { status: "Sent" } })
      .catch((e) => e)) as PartialError;
    expect(error).toMatchObject({ statusCode: 404, succeeded: [id(10), id(11)] });
    expect(error.message).toMatch(/^1 of 3 could not be changed: /);
    expect(error.failed.map((f) => [f.id, f.error.statusCode])).toEqual([["recGONE0000000000", 404]]);
    expect((await read(id(10))).status).toBe("Sent");
  });

  it("that are wrong say so by field, and change nothing", async () => {
    const error = await resonance.dataProvider
      .updateMany({ resource: "orders", ids, variables: { status: "Nope" } })
      .catch((e) => e);
    expect(error).toMatchObject({
      statusCode: 400,
      errors: { status: expect.stringContaining("must be one of") },
      succeeded: [],
    });
    expect(relay.count("PATCH /api/orders")).toBe(1);
  });
});
