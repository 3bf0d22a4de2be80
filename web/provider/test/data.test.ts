import type { BaseRecord, CrudFilter, CrudOperators } from "@refinedev/core";
import { beforeAll, describe, expect, it } from "vitest";
import type { Resonance } from "../src/index.ts";
import { app, appOf } from "./app.ts";
import { orders } from "./setup.ts";

let resonance: Resonance;
let rows: BaseRecord[];

beforeAll(async () => {
  resonance = await appOf("viewer");
  rows = (await resonance.dataProvider.getList({ resource: "orders", pagination: { mode: "off" } })).data;
});

const list = (filters: CrudFilter[], more = {}) =>
  resonance.dataProvider.getList({ resource: "orders", filters, pagination: { mode: "off" }, ...more });

const ids = (records: BaseRecord[]) => records.map((r) => r.id).sort();

describe("getList", () => {
  it("reads everything when pagination is off, each row once, with record_id as id", () => {
    expect(rows).toHaveLength(orders);
    expect(new Set(rows.map((r) => r.id)).size).toBe(orders);
    expect(rows.every((r) => r.id === r.record_id)).toBe(true);
  });

  const text = (record: BaseRecord, field: string) => String(record[field] ?? "");
  const fold = (s: string) => s.toLowerCase();
  const amount = (r: BaseRecord) => r.amount as number | null;
  const cases: [CrudOperators, string, unknown, (r: BaseRecord) => boolean][] = [
    ["eq", "status", "Pending", (r) => r.status === "Pending"],
    ["ne", "status", "Pending", (r) => r.status !== "Pending"],
    ["eqs", "status", "Sent", (r) => r.status === "Sent"],
    ["nes", "status", "Sent", (r) => r.status !== "Sent"],
    ["lt", "amount", 500, (r) => amount(r) !== null && (amount(r) as number) < 500],
    ["lte", "amount", 500, (r) => amount(r) !== null && (amount(r) as number) <= 500],
    ["gt", "amount", 500, (r) => amount(r) !== null && (amount(r) as number) > 500],
    ["gte", "amount", 500, (r) => amount(r) !== null && (amount(r) as number) >= 500],
    ["in", "status", ["Pending", "Sent"], (r) => ["Pending", "Sent"].includes(r.status)],
    ["in", "priority", "Low,High", (r) => ["Low", "High"].includes(r.priority)],
    ["nin", "status", ["Pending", "Sent"], (r) => !["Pending", "Sent"].includes(r.status)],
    [
      "between",
      "amount",
      [200, 800],
      (r) => amount(r) !== null && (amount(r) as number) >= 200 && (amount(r) as number) <= 800,
    ],
    ["between", "amount", [200, null], (r) => amount(r) !== null && (amount(r) as number) >= 200],
    ["between", "amount", [undefined, 800], (r) => amount(r) !== null && (amount(r) as number) <= 800],
    ["nbetween", "amount", [200, 800], (r) => !((amount(r) ?? -1) >= 200 && (amount(r) ?? 801) <= 800)],
    ["null", "amount", true, (r) => r.amount === null],
    ["nnull", "amount", true, (r) => r.amount !== null],
    ["contains", "customer", "AR", (r) => fold(text(r, "customer")).includes("ar")],
    ["ncontains", "customer", "AR", (r) => !fold(text(r, "customer")).includes("ar")],
    ["containss", "customer", "ar", (r) => text(r, "customer").includes("ar")],
    ["ncontainss", "customer", "ar", (r) => !text(r, "customer").includes("ar")],
    ["startswith", "customer", "a", (r) => fold(text(r, "customer")).startsWith("a")],
    ["nstartswith", "customer", "a", (r) => !fold(text(r, "customer")).startsWith("a")],
    ["startswiths", "customer", "A", (r) => text(r, "customer").startsWith("A")],
    ["nstartswiths", "customer", "A", (r) => !text(r, "customer").startsWith("A")],
    ["endswith", "customer", "S", (r) => fold(text(r, "customer")).endsWith("s")],
    ["nendswith", "customer", "S", (r) => !fold(text(r, "customer")).endsWith("s")],
    ["endswiths", "customer", "s", (r) => text(r, "customer").endsWith("s")],
    ["nendswiths", "customer", "s", (r) => !text(r, "customer").endsWith("s")],
  ];
  it.each(cases)("filters by %s of %s %j", async (operator, field, value, matches) => {
    const found = await list([{ operator, field, value } as CrudFilter]);
    expect(ids(found.data)).toEqual(ids(rows.filter(matches)));
    expect(found.total).toBe(found.data.length);
  });

  it("tests filters that both match something and leave something out", () => {
    expect(cases.filter(([, , , m]) => rows.every(m) || !rows.some(m)).map(([operator]) => operator)).toEqual([]);
  });

  it("joins filters by AND, takes nested ones, and OR over the values of one field", async () => {
    const found = await list([
      { operator: "and", value: [{ field: "amount", operator: "gt", value: 300 }] },
      {
        operator: "or",
        value: [
          { field: "status", operator: "eq", value: "Pending" },
          { field: "status", operator: "eq", value: "Sent" },
        ],
      },
      { field: "priority", operator: "ne", value: "Low" },
      { field: "priority", operator: "ne", value: "High" },
      { field: "customer", operator: "eq", value: undefined },
    ]);
    const want = rows.filter(
      (r) => r.amount > 300 && ["Pending", "Sent"].includes(r.status) && !["Low", "High"].includes(r.priority),
    );
    expect(want.length).toBeGreaterThan(0);
    expect(ids(found.data)).toEqual(ids(want));
  });

  it("searches, and takes the API's own parameters as filters", async () => {
    const one = rows[7] as BaseRecord;
    const found = await list([{ field: "q", operator: "contains", value: one.id }]);
    expect(ids(found.data)).toEqual([one.id]);
    const dated = await list([
      { field: "start_date", operator: "eq", value: one.order_date },
      { field: "end_date", operator: "eq", value: one.order_date },
    ]);
    expect(ids(dated.data)).toEqual(ids(rows.filter((r) => r.order_date === one.order_date)));
  });

  it("finds any of several values of a column though one has a comma", async () => {
    const found = await list([{ field: "name", operator: "in", value: [rows[0]?.name, "no, such order"] }]);
    expect(ids(found.data)).toEqual(ids(rows.filter((r) => r.name === rows[0]?.name)));
  });

  it.each<[string, CrudFilter[]]>([
    ["ina", [{ field: "status", operator: "ina", value: ["Sent"] }]],
    ["nina", [{ field: "status", operator: "nina", value: ["Sent"] }]],
    [
      "or of two fields",
      [
        {
          operator: "or",
          value: [
            { field: "status", operator: "eq", value: "Sent" },
            { field: "name", operator: "eq", value: "x" },
          ],
        },
      ],
    ],
    ["eq with a list", [{ field: "status", operator: "eq", value: ["Sent", "Pending"] }]],
    [
      "the same filter twice",
      [
        { field: "amount", operator: "gt", value: 1 },
        { field: "amount", operator: "gt", value: 2 },
      ],
    ],
    ["commas where a list cannot have them", [{ field: "customer", operator: "in", value: ["a,b", "c"] }]],
  ])("refuses what the API cannot do: %s", async (_, filters) => {
    await expect(list(filters)).rejects.toMatchObject({
      statusCode: 400,
      message: expect.stringMatching(/^Cannot filter/),
    });
  });

  it("gives the API's errors by field and in the language", async () => {
    const filters: CrudFilter[] = [{ field: "status", operator: "eq", value: "Nope" }];
    await expect(list(filters)).rejects.toMatchObject({
      statusCode: 400,
      errors: { status_eq: expect.stringContaining("must be one of") },
    });
    const spanish = await appOf("viewer", { language: "es" });
    await expect(spanish.dataProvider.getList({ resource: "orders", filters })).rejects.toMatchObject({
      errors: { status_eq: expect.stringContaining("debe ser uno de") },
    });
    await expect(list([{ field: "nope", operator: "eq", value: 1 }])).rejects.toMatchObject({
      errors: { nope_eq: expect.any(String) },
    });
  });

  it("pages and sorts by several columns", async () => {
    const sorters = [
      { field: "status", order: "asc" as const },
      { field: "amount", order: "desc" as const },
    ];
    const all = await list([], { sorters });
    const pages = await Promise.all(
      [1, 2, 3].map((currentPage) =>
        resonance.dataProvider.getList({ resource: "orders", sorters, pagination: { currentPage, pageSize: 7 } }),
      ),
    );
    expect(pages.flatMap((p) => p.data.map((r) => r.id))).toEqual(all.data.slice(0, 21).map((r) => r.id));
    expect(pages.map((p) => p.total)).toEqual([orders, orders, orders]);
    const keys = all.data.map((r) => [r.status, -r.amount] as const);
    expect(keys).toEqual([...keys].sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x - y)));
  });

  it("gives pages larger than the API does", async () => {
    const page = (currentPage: number) =>
      resonance.dataProvider.getList({ resource: "orders", pagination: { currentPage, pageSize: 130 } });
    const parts = await Promise.all([page(1), page(2), page(3), page(4)]);
    expect(parts.map((p) => p.data.length)).toEqual([130, 130, orders - 260, 0]);
    expect(new Set(parts.flatMap((p) => ids(p.data))).size).toBe(orders);
  });

  it("does not read more rows than is sensible without pages", async () => {
    await expect(list([], { meta: { maxRows: 200 } })).rejects.toMatchObject({
      statusCode: 413,
      message: expect.stringContaining("300"),
    });
  });
});

describe("getMany and getOne", () => {
  it("reads many, more than the API takes at once, in their order, without those that are gone", async () => {
    const wanted = rows
      .slice(0, 250)
      .map((r) => r.id as string)
      .reverse();
    const { data } = await resonance.dataProvider.getMany({
      resource: "orders",
      ids: [...wanted, "recGONE0000000000", ...wanted.slice(0, 1)],
    });
    expect(data.map((r) => r.id)).toEqual([...wanted, wanted[0]]);
    expect((await resonance.dataProvider.getMany({ resource: "orders", ids: [] })).data).toEqual([]);
  });

  it("reads one with its ETag", async () => {
    const one = await resonance.dataProvider.getOne({ resource: "orders", id: rows[0]?.id as string });
    expect(one).toMatchObject({ data: rows[0], etag: expect.stringMatching(/^".+"$/) });
    await expect(resonance.dataProvider.getOne({ resource: "orders", id: "recGONE0000000000" })).rejects.toMatchObject({
      statusCode: 404,
    });
    await expect(resonance.dataProvider.getOne({ resource: "orders", id: "../sync" })).rejects.toMatchObject({
      statusCode: 400,
    });
  });
});

describe("custom", () => {
  it("reads the summary with the list's filters", async () => {
    const { data } = await resonance.dataProvider.custom({
      url: "/api/orders/summary",
      method: "get",
      filters: [{ field: "status", operator: "eq", value: "Sent" }],
    });
    expect(data).toMatchObject({ total: rows.filter((r) => r.status === "Sent").length });
  });

  it("exports CSV as a blob", async () => {
    const { data } = await resonance.dataProvider.custom({
      url: `${resonance.dataProvider.getApiUrl()}/orders/export.csv`,
      method: "get",
      sorters: [{ field: "amount", order: "desc" }],
    });
    const lines = (await (data as unknown as Blob).text()).trim().split("\r\n");
    expect(lines).toHaveLength(orders + 1);
    const dearest = [...rows].sort((a, b) => b.amount - a.amount)[0];
    expect(lines[1]).toContain(dearest?.id);
  });

  it("reads history with parameters, and how the sync stands", async () => {
    const url = `/api/orders/${rows[0]?.id}/history`;
    const history = await resonance.dataProvider.custom({ url, method: "get", query: { page_size: 5 } });
    expect(history.data).toMatchObject({
      page_size: 5,
      data: expect.arrayContaining([expect.objectContaining({ change: "created" })]),
    });
    const sync = await resonance.dataProvider.custom({ url: "/api/orders/sync", method: "get" });
    expect(sync.data).toMatchObject({ last: { state: "succeeded" } });
  });

  it("sends the token nowhere else", async () => {
    for (const url of ["https://example.com/api", "//example.com/api", `${resonance.client.url}.example.com/`]) {
      await expect(resonance.dataProvider.custom({ url, method: "get" })).rejects.toMatchObject({ statusCode: 400 });
    }
  });
});

it("takes nothing of the page's own parameters, which Refine puts into meta", async () => {
  const meta = { query: "status=Sent", wait: "5", timeout: "0", maxRows: "1", headers: "x", objectUrl: "true" };
  expect((await resonance.dataProvider.getList({ resource: "orders", meta })).total).toBe(orders);
  const { total } = await resonance.dataProvider.getList({ resource: "orders", meta: { query: { status: "Sent" } } });
  expect(total).toBe(rows.filter((r) => r.status === "Sent").length);
});

describe("what is not there", () => {
  it("is said, before anything is sent", async () => {
    const { dataProvider } = app({ fetch: () => Promise.reject(new Error("sent")) });
    await expect(dataProvider.create({ resource: "orders", variables: {} })).rejects.toMatchObject({ statusCode: 405 });
    await expect(dataProvider.deleteOne({ resource: "orders", id: "rec1" })).rejects.toMatchObject({ statusCode: 405 });
    await expect(dataProvider.getList({ resource: "invoices" })).rejects.toMatchObject({ statusCode: 405 });
  });

  it("is an error of its own when no answer comes, or no end of it", async () => {
    const nobody = app({ url: "http://127.0.0.1:1" });
    await expect(nobody.dataProvider.getList({ resource: "orders" })).rejects.toMatchObject({
      statusCode: 0,
      message: "The server cannot be reached",
    });
    const slow = app({
      timeout: 20,
      fetch: (_, init) =>
        new Promise((__, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason))),
    });
    await expect(slow.dataProvider.getList({ resource: "orders" })).rejects.toMatchObject({
      statusCode: 0,
      message: "The server takes too long to answer",
    });
    const page = app({ fetch: async () => new Response("<html>", { status: 502 }) });
    await expect(page.dataProvider.getList({ resource: "orders" })).rejects.toMatchObject({
      statusCode: 502,
      message: "The server answered something unexpected",
    });
  });
});
