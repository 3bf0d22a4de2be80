import type { BaseRecord, CrudFilter } from "@refinedev/core";
import simpleRest, { axiosInstance } from "@refinedev/simple-rest";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { appOf } from "./app.ts";
import { orders } from "./setup.ts";

/** Refine's stock provider, with nothing of ours but the token. */
const provider = simpleRest(`${inject("product").url}/api`, axiosInstance);
let rows: BaseRecord[];

beforeAll(async () => {
  const { client, dataProvider } = await appOf("operator");
  axiosInstance.defaults.headers.common.Authorization = `Bearer ${await client.token()}`;
  rows = (await dataProvider.getList({ resource: "orders", pagination: { mode: "off" } })).data;
});

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const idsOf = (records: BaseRecord[]) => records.map((r) => r.record_id as string);

describe("Refine's simple-rest provider", () => {
  it("lists pages with their total, sorted by several columns", async () => {
    const sorters = [
      { field: "status", order: "asc" as const },
      { field: "record_id", order: "desc" as const },
    ];
    const want = [...rows].sort((a, b) => compare(a.status, b.status) || compare(b.record_id, a.record_id));
    for (const currentPage of [1, 2, 30]) {
      const page = await provider.getList({ resource: "orders", sorters, pagination: { currentPage, pageSize: 10 } });
      expect(page.total).toBe(orders);
      expect(idsOf(page.data)).toEqual(idsOf(want.slice((currentPage - 1) * 10, currentPage * 10)));
    }
  });

  const amount = (r: BaseRecord) => (r.amount === null ? Number.NaN : r.amount);
  it.each<[CrudFilter, (r: BaseRecord) => boolean]>([
    [{ field: "status", operator: "eq", value: "Sent" }, (r) => r.status === "Sent"],
    [{ field: "status", operator: "ne", value: "Sent" }, (r) => r.status !== "Sent"],
    [{ field: "amount", operator: "gte", value: 900 }, (r) => amount(r) >= 900],
    [{ field: "amount", operator: "lte", value: 900 }, (r) => amount(r) <= 900],
    [{ field: "customer", operator: "contains", value: "LOG" }, (r) => /log/i.test(r.customer)],
    [{ field: "q", operator: "contains", value: "order 1" }, (r) => /order 1/i.test(r.name)],
  ])("filters by %j", async (filter, matches) => {
    const want = idsOf(rows.filter(matches));
    const found = await provider.getList({ resource: "orders", filters: [filter], pagination: { pageSize: 100 } });
    expect(found.total).toBe(want.length);
    expect(want.length).toBeGreaterThan(0);
    expect(want).toEqual(expect.arrayContaining(idsOf(found.data)));
    expect(found.data).toHaveLength(Math.min(want.length, 100));
  });

  it("reads many and one", async () => {
    const ids = idsOf(rows).slice(3, 9);
    const { data } = (await provider.getMany?.({ resource: "orders", ids })) ?? { data: [] };
    expect(idsOf(data).sort()).toEqual([...ids].sort());
    const one = await provider.getOne({ resource: "orders", id: ids[0] as string });
    expect({ id: ids[0], ...one.data }).toEqual(rows[3]);
  });

  it("knows errors by their status", async () => {
    await expect(provider.getOne({ resource: "orders", id: "recGONE0000000000" })).rejects.toMatchObject({
      statusCode: 404,
    });
    const wrong = { resource: "orders", id: rows[0]?.id as string, variables: { status: "Nope" } };
    await expect(provider.update(wrong)).rejects.toMatchObject({ statusCode: 400 });
  });

  it("edits", async () => {
    const one = rows.find((r) => r.status === "Pending");
    const { data } = await provider.update({
      resource: "orders",
      id: one?.id as string,
      variables: { status: "Processing" },
    });
    expect(data).toMatchObject({
      record_id: one?.id,
      status: "Processing",
      edit: { values: { status: "Processing" } },
    });
    expect((await provider.getOne({ resource: "orders", id: one?.id as string })).data).toMatchObject({
      status: "Processing",
    });
  });
});
