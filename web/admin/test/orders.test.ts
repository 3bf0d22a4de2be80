import type { HistoryEntry, Order, OrderColumn, OrdersSummary } from "@resonance/refine";
import { describe, expect, it, vi } from "vitest";
import { changedOf } from "../src/pages/orders/changes.ts";
import { choicesOf } from "../src/pages/orders/choices.ts";
import { cardsOf, columnOf, columnsOf, countsOf } from "../src/pages/orders/columns.ts";
import { cellOf } from "../src/pages/orders/fields.ts";
import { OwnEdits, shown } from "../src/pages/orders/own.ts";
import { crudFilters, ordersPath, parseQuery, sortersOf, writeQuery } from "../src/pages/orders/query.ts";

const parse = (address: string) => parseQuery(new URLSearchParams(address));

describe("the choices of a column", () => {
  const column = (...values: string[]): OrderColumn[] => [
    {
      name: "status",
      kind: "choice",
      filterable: true,
      sortable: true,
      editable: true,
      choices: values.map((value) => ({ value, title: value })),
    },
  ];

  it("are the base's, the usual ones first", () => {
    expect(choicesOf("status", column("Devuelto", "Sent", "Pending"))).toEqual(["Pending", "Sent", "Devuelto"]);
  });

  it("are the usual ones where nobody has said", () => {
    expect(choicesOf("status", undefined)).toHaveLength(5);
    expect(choicesOf("priority", column("Sent"))).toHaveLength(3);
    expect(choicesOf("status", column())).toHaveLength(5);
  });
});

describe("the address of orders", () => {
  it("comes back as it was written", () => {
    const address =
      "q=n%C3%BA%C3%B1ez&status=Pending%2CSent&priority=High%2Cother&customer=a%2Cb&start_date=2026-01-01&end_date=2026-11-24" +
      "&amount_gte=-10.5&amount_lte=2000&sort=-amount&page=3&page_size=50";
    expect(writeQuery(parse(address)).toString()).toBe(address);
  });

  it("says nothing of what is as always", () => {
    expect(writeQuery(parse("page=1&page_size=20&sort=-order_date&status=&q=")).toString()).toBe("");
    expect(ordersPath("/orders", {})).toBe("/orders");
    expect(ordersPath("/orders/board", { status: "Sent" }, { sort: "amount" })).toBe(
      "/orders/board?status=Sent&sort=amount",
    );
  });

  it.each([
    "status=Lost",
    "priority=high",
    "start_date=2026-02-30",
    "end_date=yesterday",
    "amount_gte=1e9",
    "amount_lte=many",
    "sort=fields",
    "page=-4",
    "page=x",
    "page_size=1000",
    "current=2",
  ])("leaves out what makes no sense: %s", (address) => {
    expect(parse(address)).toEqual({ filters: {}, sort: "-order_date", page: 1, pageSize: 20 });
  });

  it("takes a list repeated or with commas, and puts it in order", () => {
    expect(parse("status=Sent&status=Pending").filters.status).toBe("Pending,Sent");
    expect(parse("status=Sent,Lost,Pending").filters.status).toBe("Pending,Sent");
  });

  it("takes every value for no filter", () => {
    expect(parse("priority=High,Medium,Low,other").filters).toEqual({});
    expect(parse("priority=High,Medium,Low").filters.priority).toBe("High,Medium,Low");
  });
});

describe("filters", () => {
  const filters = (address: string) => crudFilters(parse(address).filters);

  it("are those of the API", () => {
    expect(
      filters("q=1042&customer=ferre&start_date=2026-11-01&end_date=2026-11-30&amount_gte=10&amount_lte=20"),
    ).toEqual([
      { field: "q", operator: "eq", value: "1042" },
      { field: "customer", operator: "contains", value: "ferre" },
      { field: "start_date", operator: "eq", value: "2026-11-01" },
      { field: "end_date", operator: "eq", value: "2026-11-30" },
      { field: "amount", operator: "gte", value: "10" },
      { field: "amount", operator: "lte", value: "20" },
    ]);
    expect(filters("status=Sent,Pending")).toEqual([{ field: "status", operator: "in", value: ["Pending", "Sent"] }]);
  });

  it("find what Airtable has besides as what is none of the others", () => {
    expect(filters("priority=other")).toEqual([
      { field: "priority", operator: "nin", value: ["High", "Medium", "Low"] },
    ]);
    expect(filters("priority=High,other")).toEqual([{ field: "priority", operator: "nin", value: ["Medium", "Low"] }]);
  });

  it("come with a sort", () => {
    expect(sortersOf("-amount")).toEqual([{ field: "amount", order: "desc" }]);
    expect(sortersOf("name")).toEqual([{ field: "name", order: "asc" }]);
  });
});

const order = (id: string, status: string | null = "Pending"): Order =>
  ({ id, record_id: id, name: id, status, priority: "Low" }) as Order;

describe("own edits", () => {
  it("lie over what is read until they end, the later over the earlier", () => {
    const own = new OwnEdits();
    const a = order("a");
    const first = own.begin([a], { status: "Sent" });
    const second = own.begin([a], { status: "Delivered", priority: "High" });
    expect(shown(a, own.get())).toMatchObject({ status: "Delivered", priority: "High", edit: { state: "pending" } });
    own.end(second);
    expect(shown(a, own.get())).toMatchObject({ status: "Sent", priority: "Low" });
    own.end(first);
    expect(shown(a, own.get())).toBe(a);
    expect(shown(order("b"), own.get()).edit).toBeUndefined();
  });

  it("are sent at once when another of the same order follows, or the page is left", () => {
    const own = new OwnEdits();
    const hurry = vi.fn();
    own.begin([order("a")], { status: "Sent" }).hurry = hurry;
    own.begin([order("b")], { status: "Sent" });
    expect(hurry).not.toHaveBeenCalled();
    own.begin([order("c"), order("a")], { status: "Pending" });
    expect(hurry).toHaveBeenCalledTimes(1);
    expect(own.flush()).toBe(true);
    expect(hurry).toHaveBeenCalledTimes(2);
    expect(new OwnEdits().flush()).toBe(false);
  });

  it("are sent one after the other, even after one that fails", async () => {
    const own = new OwnEdits();
    const told: string[] = [];
    let release: () => void = () => undefined;
    const first = own.turn(async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      told.push("first");
      throw new Error("refused");
    });
    const second = own.turn(async () => void told.push("second"));
    await Promise.resolve();
    expect(told).toEqual([]);
    release();
    await expect(first).rejects.toThrow("refused");
    await second;
    expect(told).toEqual(["first", "second"]);
  });
});

describe("the board", () => {
  const summary = {
    by_status: [
      { status: "Pending", count: 2, amount: 1 },
      { status: "Lost", count: 1, amount: 1 },
      { status: null, count: 3, amount: 1 },
    ],
  } as OrdersSummary;

  it("gathers what is none of ours in a column of its own", () => {
    expect(columnOf("Sent")).toBe("Sent");
    expect(columnOf("Lost")).toBe("other");
    expect(columnOf(null)).toBe("other");
    expect(countsOf(summary, new Map())).toEqual(
      new Map([
        ["Pending", 2],
        ["other", 4],
      ]),
    );
  });

  it("has the columns that the filters leave, and others only if there are any", () => {
    const none = new Map<string, number>();
    expect(columnsOf({}, none)).toEqual(["Pending", "Processing", "Sent", "Delivered", "Cancelled"]);
    expect(columnsOf({}, new Map([["other", 1]]))).toHaveLength(6);
    expect(columnsOf({ status: "Sent,Cancelled" }, new Map([["other", 1]]))).toEqual(["Sent", "Cancelled"]);
    expect(columnsOf({ status: "other" }, none)).toEqual(["other"]);
  });

  it("shows a moved card where it goes to, and only there, before anything is read again", () => {
    const own = new OwnEdits();
    const [a, b, c] = [order("a"), order("b"), order("c", "Sent")];
    const batch = own.begin([a], { status: "Sent" });
    const ids = (orders: Order[]) => orders.map(({ id }) => id);
    expect(ids(cardsOf("Pending", [a, b], own.get()))).toEqual(["b"]);
    expect(ids(cardsOf("Sent", [c], own.get()))).toEqual(["a", "c"]);
    expect(ids(cardsOf("Sent", [{ ...a, status: "Sent" }, c], own.get()))).toEqual(["a", "c"]);
    expect(ids(cardsOf("Delivered", [], own.get()))).toEqual([]);
    expect(countsOf(summary, own.get()).get("Pending")).toBe(1);
    expect(countsOf(summary, own.get()).get("Sent")).toBe(1);
    own.end(batch);
    expect(ids(cardsOf("Pending", [a, b], own.get()))).toEqual(["a", "b"]);
  });

  it("leaves a card where it is when only its priority changes", () => {
    const own = new OwnEdits();
    const a = order("a");
    own.begin([a], { priority: "High" });
    expect(cardsOf("Pending", [a], own.get())).toHaveLength(1);
    expect(cardsOf("Sent", [], own.get())).toHaveLength(0);
    expect(countsOf(summary, own.get()).get("Pending")).toBe(2);
  });
});

describe("the history", () => {
  const entry = (more: Partial<HistoryEntry>) => changedOf({ change: "updated", values: {}, ...more });

  it("says what changed, in the order of the columns", () => {
    const changes = entry({
      values: { name: "A", status: "Sent", amount: null },
      previous: { amount: 5, status: "Pending" },
    });
    expect(changes).toEqual([
      { field: "status", before: "Pending", after: "Sent" },
      { field: "amount", before: 5, after: null },
    ]);
  });

  it("says what an edit wanted, and nothing of the first and last entry", () => {
    expect(entry({ change: "rejected", values: { status: "Sent" } })).toEqual([
      { field: "status", before: undefined, after: "Sent" },
    ]);
    expect(entry({ change: "created", values: { status: "Sent" } })).toEqual([]);
    expect(entry({ change: "deleted", values: { status: "Sent" } })).toEqual([]);
  });
});

describe("cells of Airtable", () => {
  it.each([
    ["", "none"],
    [null, "none"],
    [[], "none"],
    ["Frágil", "text"],
    ["dos\nlíneas", "long"],
    [113873, "number"],
    [true, "yes"],
    [false, "no"],
    ["2026-11-24", "date"],
    ["2026-11-24T19:44:24.000Z", "time"],
    ["2026-13-24", "text"],
    ["ana@example.com", "email"],
    ["https://example.com/a?b=1", "url"],
    ["+34 600 000 000", "phone"],
    ["1042", "text"],
    [["Web", "Export"], "list"],
    [["recA1b2C3d4E5f6G7"], "records"],
    [[{ id: "att1", filename: "a.pdf", url: "/api/orders/recA/files/att1", size: 10 }], "files"],
    [{ id: "usr1", email: "ana@example.com", name: "Ana" }, "person"],
    [{ label: "Open", url: "https://example.com" }, "url"],
    [{ specialValue: "NaN" }, "error"],
    [{ error: "#ERROR!" }, "error"],
    [{ text: "8412345" }, "text"],
  ])("%j is %s", (value, kind) => {
    expect(cellOf(value).kind).toBe(kind);
  });

  it("lead nowhere but to the web", () => {
    expect(cellOf("javascript:alert(1)").kind).toBe("text");
    expect(cellOf({ label: "Open", url: "javascript:alert(1)" }).kind).toBe("text");
    expect(cellOf([{ filename: "a.pdf", url: "/api/orders/recA/files/att1" }])).toEqual({
      kind: "files",
      files: [{ name: "a.pdf", path: "/api/orders/recA/files/att1" }],
    });
    for (const url of ["javascript:alert(1)", "https://example.com/a.pdf", "/api/orders/../token", "//example.com/a"]) {
      expect(cellOf([{ filename: "a.pdf", url }])).toEqual({ kind: "files", files: [{ name: "a.pdf", path: "" }] });
    }
    expect(cellOf('https://example.com/"onclick="x')).toMatchObject({
      kind: "url",
      href: "https://example.com/%22onclick=%22x",
    });
  });
});
