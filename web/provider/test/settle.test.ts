import { afterAll, beforeAll, expect, inject, it } from "vitest";
import type { EditEvent, Order, Resonance } from "../src/index.ts";
import { appOf } from "./app.ts";
import { Product, sandbox, until } from "./product.ts";

let product: Product;
let resonance: Resonance;
let ids: string[];

beforeAll(async () => {
  product = await Product.start(inject("bin"), 20);
  resonance = await appOf("operator", { url: product.url });
  ids = (await resonance.dataProvider.getList({ resource: "orders", pagination: { mode: "off" } })).data.map(
    (r) => r.id as string,
  );
});
afterAll(() => product?.remove());

const id = (i: number) => ids[i] as string;
const read = async (of: string) => (await resonance.dataProvider.getOne<Order>({ resource: "orders", id: of })).data;
const edit = (of: string, variables: object, meta = {}) =>
  resonance.dataProvider.update<Order, object>({ resource: "orders", id: of, variables, meta });
const settled = (of: string) =>
  until(async () => {
    const order = await read(of);
    return order.edit && order.edit.state !== "pending" ? order : undefined;
  });

/** A status that an order has not. */
async function another(of: string): Promise<string> {
  return (await read(of)).status === "Sent" ? "Delivered" : "Sent";
}

it("an edit is pending, then applied, in Airtable too", async () => {
  const edits: EditEvent[] = [];
  const end = resonance.liveProvider.onEdit((e) => edits.push(e));
  await until(() => resonance.liveProvider.state === "open");
  const status = await another(id(0));
  const { data, etag } = (await edit(id(0), { status, id: id(0) })) as { data: Order; etag?: string };
  expect(data).toMatchObject({ id: id(0), status, edit: { values: { status }, actor: { id: "operator" } } });
  expect(etag).toMatch(/^".+"$/);
  expect((await read(id(0))).status).toBe(status);
  expect(await settled(id(0))).toMatchObject({ status, edit: { state: "applied" } });
  const record = (await sandbox(product.airtable, "GET", `records/${id(0)}`)) as { fields: { Status: string } };
  expect(record.fields.Status).toBe(status);
  await until(() => edits.some((e) => e.state === "applied" && e.recordId === id(0) && e.id === data.edit?.id));
  end();
});

it("an edit can be waited for", async () => {
  const { data } = await edit(id(1), { status: await another(id(1)), priority: "Low" }, { wait: 20 });
  expect(data).toMatchObject({ priority: "Low", edit: { state: "applied" } });
});

it("an edit that Airtable refuses is rejected with a reason in the language, and the values are back", async () => {
  const before = await until(async () => {
    const order = await read(id(2));
    return order.status !== "Cancelled" ? order : undefined;
  });
  await sandbox(product.airtable, "POST", "fields", { field: "Status", remove_choice: "Cancelled" });
  try {
    const { data } = await edit(id(2), { status: "Cancelled" }, { wait: 20 });
    expect(data).toMatchObject({
      status: before.status,
      edit: { state: "rejected", values: { status: "Cancelled" }, reason: expect.any(String) },
    });
    const spanish = await appOf("viewer", { url: product.url, language: "es" });
    const said = (await spanish.dataProvider.getOne<Order>({ resource: "orders", id: id(2) })).data.edit?.reason;
    expect(said).not.toBe(data.edit?.reason);
  } finally {
    await sandbox(product.airtable, "POST", "fields", { field: "Status", add_choice: "Cancelled" });
  }
});
