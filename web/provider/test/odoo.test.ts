import type { BaseRecord, LiveEvent } from "@refinedev/core";
import { beforeAll, describe, expect, it } from "vitest";
import type { Resonance } from "../src/index.ts";
import { appOf } from "./app.ts";
import { until } from "./product.ts";

const resources = ["products", "partners", "suppliers", "customers", "sales"] as const;
let resonance: Resonance;

beforeAll(async () => {
  resonance = await appOf("operator");
});

const all = async (resource: string, more = {}) =>
  (await resonance.dataProvider.getList({ resource, pagination: { mode: "off" }, ...more })).data;
const idsOf = (rows: BaseRecord[]) => rows.map((r) => r.id);

describe.each(resources)("%s", (resource) => {
  it("are listed by pages, sorted, with their total", async () => {
    const sorters = [{ field: "id", order: "desc" as const }];
    const rows = await all(resource, { sorters });
    expect(rows.length).toBeGreaterThan(2);
    expect(idsOf(rows)).toEqual([...idsOf(rows)].sort((a, b) => Number(b) - Number(a)));
    const page = await resonance.dataProvider.getList({
      resource,
      sorters,
      pagination: { currentPage: 2, pageSize: 2 },
    });
    expect(page).toMatchObject({ total: rows.length, age: expect.any(Number) });
    expect(idsOf(page.data)).toEqual(idsOf(rows).slice(2, 4));
  });

  it("are read one by one and together", async () => {
    const rows = (await all(resource)).slice(0, 3);
    const many = await resonance.dataProvider.getMany({ resource, ids: idsOf(rows).reverse() as number[] });
    expect(idsOf(many.data)).toEqual(idsOf(rows).reverse());
    const one = await resonance.dataProvider.getOne({ resource, id: String(rows[0]?.id) });
    expect(one).toMatchObject({ data: { id: rows[0]?.id, name: rows[0]?.name }, etag: expect.stringMatching(/"/) });
    await expect(resonance.dataProvider.getOne({ resource, id: 999999999 })).rejects.toMatchObject({ statusCode: 404 });
  });

  it("are filtered", async () => {
    const rows = await all(resource);
    const name = String(rows[1]?.name);
    const like = name.slice(0, 5).toUpperCase();
    const found = await all(resource, { filters: [{ field: "name", operator: "contains", value: like }] });
    expect(idsOf(found).sort()).toEqual(idsOf(rows.filter((r) => r.name.toUpperCase().includes(like))).sort());
    const ids = idsOf(rows).slice(0, 2);
    expect(idsOf(await all(resource, { filters: [{ field: "id", operator: "in", value: ids }] })).sort()).toEqual(
      [...ids].sort(),
    );
    expect(idsOf(await all(resource, { filters: [{ field: "q", operator: "eq", value: name }] }))).toContain(
      rows[1]?.id,
    );
    const wrong = all(resource, { filters: [{ field: "nope", operator: "eq", value: 1 }] });
    await expect(wrong).rejects.toMatchObject({ statusCode: 400, errors: { nope_eq: expect.any(String) } });
  });
});

it("products are created, changed and archived, and everybody hears of it", async () => {
  const { dataProvider, liveProvider } = resonance;
  const events: LiveEvent[] = [];
  const subscription = liveProvider.subscribe({
    channel: "resources/products",
    types: ["*"],
    callback: (e) => events.push(e),
  });
  await until(() => liveProvider.state === "open");
  const barcode = String(Date.now());
  const { data: made, etag } = (await dataProvider.create({
    resource: "products",
    variables: { name: "Tornillo", list_price: 0.35, barcode },
  })) as { data: BaseRecord; etag?: string };
  expect(made).toMatchObject({ id: expect.any(Number), name: "Tornillo", list_price: 0.35, barcode });
  const id = made.id as number;
  await until(() => events.some((e) => e.payload.ids?.includes(id) || e.type === "*"));
  const changed = await dataProvider.update({
    resource: "products",
    id,
    variables: { list_price: 0.4 },
    meta: { ifMatch: etag },
  });
  expect(changed.data).toMatchObject({ id, list_price: 0.4 });
  await expect(
    dataProvider.update({ resource: "products", id, variables: { list_price: 1 }, meta: { ifMatch: etag } }),
  ).rejects.toMatchObject({
    statusCode: 412,
  });
  await expect(
    dataProvider.create({ resource: "products", variables: { name: "Otro", barcode } }),
  ).rejects.toMatchObject({
    statusCode: expect.toBeOneOf([400, 409]),
    errors: { barcode: expect.any(String) },
  });
  expect((await dataProvider.deleteOne({ resource: "products", id })).data).toMatchObject({ id, active: false });
  expect(idsOf(await all("products"))).not.toContain(id);
  expect((await dataProvider.getOne({ resource: "products", id })).data).toMatchObject({ active: false });
  liveProvider.unsubscribe(subscription);
});

it("many are created, changed and archived, and what fails is told", async () => {
  const { dataProvider } = resonance;
  const made = await dataProvider.createMany({
    resource: "customers",
    variables: ["Uno", "Dos", "Tres"].map((name) => ({ name })),
  });
  const ids = idsOf(made.data) as number[];
  expect(new Set(ids).size).toBe(3);
  const changed = await dataProvider.updateMany({ resource: "customers", ids, variables: { city: "Soria" } });
  expect(changed.data.map((c) => c.city)).toEqual(["Soria", "Soria", "Soria"]);
  await expect(
    dataProvider.updateMany({ resource: "customers", ids: [...ids, 999999999], variables: { city: "Ávila" } }),
  ).rejects.toMatchObject({
    statusCode: 404,
    succeeded: ids,
    failed: [{ id: 999999999 }],
  });
  const gone = await dataProvider.deleteMany({ resource: "customers", ids });
  expect(gone.data.map((c) => c.active)).toEqual([false, false, false]);
});

it("errors are by field and in the language", async () => {
  const create = (app: Resonance) =>
    app.dataProvider.create({ resource: "products", variables: { list_price: "much" } });
  await expect(create(resonance)).rejects.toMatchObject({
    statusCode: 400,
    errors: { name: expect.any(String), list_price: "must be a number" },
  });
  await expect(create(await appOf("operator", { language: "es" }))).rejects.toMatchObject({
    errors: { list_price: "debe ser un número" },
  });
  const viewer = await appOf("viewer");
  await expect(viewer.dataProvider.create({ resource: "products", variables: { name: "x" } })).rejects.toMatchObject({
    statusCode: 403,
  });
});

it("sales are made with their lines, confirmed and cancelled, and summed up", async () => {
  const { dataProvider } = resonance;
  const [customer] = await all("customers");
  const [product] = await all("products");
  const { data: sale } = await dataProvider.create({
    resource: "sales",
    variables: { partner: customer?.id, lines: [{ product: product?.id, qty: 2, price_unit: 10.5 }] },
  });
  expect(sale).toMatchObject({ state: "draft", partner: { id: customer?.id }, lines: [{ qty: 2, price_unit: 10.5 }] });
  const act = (what: string) => dataProvider.custom({ url: `/api/v1/sales/${sale.id}/${what}`, method: "post" });
  expect((await act("confirm")).data).toMatchObject({ state: "sale" });
  expect((await act("confirm")).data).toMatchObject({ state: "sale" }); // again, as after an answer that was lost
  expect((await act("cancel")).data).toMatchObject({ state: "cancel" });
  const { data } = await dataProvider.custom({
    url: "/api/v1/sales/summary",
    method: "get",
    filters: [{ field: "id", operator: "eq", value: sale.id }],
  });
  expect(data).toMatchObject({ total: 1, by_state: [{ state: "cancel", count: 1 }] });
});

it("images come as URLs of blobs", async () => {
  const product = (await all("products")).find((p) => p.has_image);
  expect(product).toBeDefined();
  const { data } = await resonance.dataProvider.custom({
    url: `/api/v1/products/${product?.id}/image`,
    method: "get",
    query: { size: 128 },
    meta: { objectUrl: true },
  });
  const image = await (await fetch(data as unknown as string)).blob();
  expect(image.type).toMatch(/^image\//);
  expect(image.size).toBeGreaterThan(50);
  URL.revokeObjectURL(data as unknown as string);
});

it("a company that one may not see is refused", async () => {
  const elsewhere = await appOf("operator", { company: 987 });
  await expect(elsewhere.dataProvider.getList({ resource: "products" })).rejects.toMatchObject({ statusCode: 403 });
  elsewhere.client.setCompany(undefined);
  expect((await elsewhere.dataProvider.getList({ resource: "products" })).total).toBeGreaterThan(0);
});
