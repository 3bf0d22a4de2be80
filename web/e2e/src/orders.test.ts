import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach } from "node:test";
import type { Locator, Page } from "playwright-core";
import { gone, onProduct, type Tab } from "./browser.ts";
import { type Order, until } from "./product.ts";

const here = onProduct();
const { look } = here;
afterEach(async () => {
  await here.product.airtable("faults", "DELETE");
});

interface List {
  data: Order[];
  total: number;
}
const list = (query: string) => here.product.api<List>(`/api/orders?sort=-order_date&page_size=20&${query}`);

look("filters are in the address: the back button and a reload keep to them", {}, async (tab) => {
  const { page } = tab;
  const pending = await list("status=Pending");
  const high = await list("status=Pending&priority=High");
  await tab.go("/orders");
  await page.getByRole("button", { name: tab.t("orders.filters.title") }).click();
  await page.getByRole("checkbox", { name: tab.t("status.Pending") }).click();
  await counted(tab, pending.total);
  assert.match(page.url(), /status=Pending/);
  await page.getByRole("checkbox", { name: tab.t("priority.High") }).click();
  await counted(tab, high.total);
  await page.keyboard.press("Escape");
  assert.deepEqual(
    await names(page),
    high.data.map(({ name }) => name),
  );

  await page.goBack();
  await counted(tab, pending.total);
  await page.reload();
  await counted(tab, pending.total);
  assert.deepEqual(
    await names(page),
    pending.data.map(({ name }) => name),
  );
  await page
    .getByRole("button", { name: tab.t("orders.filters.remove", { name: tab.t("orders.fields.status") }) })
    .click();
  await counted(tab, (await list("")).total);
});

look("a search, a sort and a page are those of the API", {}, async (tab) => {
  const { page } = tab;
  await tab.go("/orders");
  await page.getByRole("searchbox", { name: tab.t("orders.filters.searchIn") }).fill("Logistics");
  const found = await list("q=Logistics");
  await counted(tab, found.total);
  await page.getByRole("columnheader", { name: tab.t("orders.fields.amount") }).click();
  const cheapest = await here.product.api<List>("/api/orders?q=Logistics&sort=amount&page_size=20");
  await until(
    "sorted",
    10_000,
    async () => String(await names(page)) === String(cheapest.data.map(({ name }) => name)),
  );
  await page.getByRole("listitem", { name: "2", exact: true }).click();
  const second = await here.product.api<List>("/api/orders?q=Logistics&sort=amount&page_size=20&page=2");
  await until("page 2", 10_000, async () => String(await names(page)) === String(second.data.map(({ name }) => name)));
  assert.match(page.url(), /page=2/);
});

look("an edit shows at once as pending, and settles when Airtable has it", {}, async (tab) => {
  const { page } = tab;
  const [order] = (await list("status=Processing")).data;
  assert.ok(order);
  await tab.go(`/orders?q=${encodeURIComponent(order.name)}`);
  await live(tab);
  await here.product.airtable("faults", "POST", { on: "write", do: "slow", delay_ms: 5000, times: 1 });
  const row = rowOf(page, order);
  await change(tab, row, "status", "Sent");
  await row.getByText(tab.t("orders.edit.pending")).waitFor();
  await row.getByText(tab.t("status.Sent"), { exact: true }).waitFor();
  assert.equal((await here.product.order(order.record_id)).edit?.state, "pending");
  await gone(row.getByRole("status"));
  await row.getByText(tab.t("status.Sent"), { exact: true }).waitFor();
  assert.equal((await here.product.inAirtable(order.record_id)).Status, "Sent");
});

look("an edit that Airtable rejects: its reason is said and the old value comes back", {}, async (tab) => {
  const { page } = tab;
  const [, order] = (await list("status=Processing")).data;
  assert.ok(order);
  await tab.go(`/orders?q=${encodeURIComponent(order.name)}`);
  await live(tab);
  const row = rowOf(page, order);
  await here.product.airtable("fields", "POST", { field: "Status", locked: true });
  try {
    await change(tab, row, "status", "Delivered");
    const alert = page.getByRole("alert").filter({ hasText: tab.t("orders.edit.refused", { name: order.name }) });
    await alert.waitFor();
    const { edit } = await here.product.api<{ edit: { reason: string } }>(`/api/orders/id/${order.record_id}`);
    assert.ok(edit.reason.length > 10, edit.reason);
    await alert.getByText(edit.reason).waitFor();
    await row.getByText(tab.t("status.Processing"), { exact: true }).waitFor();
    const values = { field: tab.t("orders.fields.status"), value: tab.t("status.Delivered") };
    await row.getByRole("button", { name: tab.t("orders.edit.rejected", values) }).waitFor();
  } finally {
    await here.product.airtable("fields", "POST", { field: "Status", locked: false });
  }
});

look("what changes in Airtable appears without a reload: changed, new and deleted", {}, async (tab) => {
  const { page } = tab;
  const [order] = (await list("status=Delivered")).data;
  assert.ok(order);
  await tab.go(`/orders?customer=${encodeURIComponent(order.customer)}`);
  await live(tab);
  await here.product.changeInAirtable(order.record_id, { Amount: 98_765.43 });
  await rowOf(page, order).getByText("98,765.43").waitFor();
  const fields = { Order: "Order X-1", Customer: order.customer, Status: "Pending", "Order date": "2099-01-01" };
  const { created } = await here.product.airtable<{ created: string[] }>("records", "POST", { create: [fields] });
  const row = page.getByRole("row").filter({ hasText: "Order X-1" });
  await row.waitFor();
  await here.product.airtable("records", "POST", { delete: created });
  await gone(row);
});

look("many are changed at once, and not when that is undone", {}, async (tab) => {
  const { page } = tab;
  const orders = (await list("status=Sent&priority=Low")).data.slice(0, 3);
  await tab.go("/orders?status=Sent&priority=Low");
  await live(tab);
  const priorities = () => Promise.all(orders.map(async (o) => (await here.product.inAirtable(o.record_id)).Priority));
  const bar = page.getByRole("region", { name: tab.t("orders.bulk.label") });
  const raise = async () => {
    for (const { name } of orders) await page.getByRole("checkbox", { name, exact: true }).check();
    await bar.getByText(tab.t("orders.bulk.many", { n: 3 })).waitFor();
    await bar.getByRole("button", { name: tab.t("orders.fields.priority") }).click();
    await page.getByRole("menuitem", { name: tab.t("priority.Medium") }).click();
  };
  await raise();
  await page.getByRole("button", { name: tab.t("buttons.undo") }).click();
  for (const order of orders) await rowOf(page, order).getByText(tab.t("priority.Low"), { exact: true }).waitFor();
  assert.deepEqual(await priorities(), ["Low", "Low", "Low"]);

  await raise();
  await page.getByText(tab.t("orders.edit.accepted", { n: 3 })).waitFor();
  await until("they are in Airtable", 20_000, async () => String(await priorities()) === "Medium,Medium,Medium");
  for (const order of orders) await gone(rowOf(page, order)); // they match the filter no more
});

look("on the board an order is dragged to another column, by keys and by mouse", {}, async (tab) => {
  const { page } = tab;
  const [first, second] = (await list("status=Pending")).data;
  assert.ok(first && second);
  await tab.go("/orders/board");
  await live(tab);
  const column = (status: string) =>
    page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: tab.t(`status.${status}`) }) });
  const handle = ({ name }: Order) => page.getByRole("button", { name: tab.t("orders.board.drag", { name }) });

  await handle(first).focus();
  await page.keyboard.press("Space");
  const values = { name: first.name, from: tab.t("status.Pending"), to: tab.t("status.Processing") };
  await said(page, tab.t("orders.board.picked", values), tab.t("orders.board.over", { ...values, to: values.from }));
  await page.keyboard.press("ArrowRight");
  await said(page, tab.t("orders.board.over", values));
  await page.keyboard.press("Space");
  await said(page, tab.t("orders.board.dropped", values));
  await column("Processing").getByText(first.name, { exact: true }).waitFor();
  await gone(column("Pending").getByText(first.name, { exact: true }));
  await until("it is in Airtable", 20_000, async () => {
    return (await here.product.inAirtable(first.record_id)).Status === "Processing";
  });

  const from = await handle(second).boundingBox();
  const to = await column("Sent").getByRole("heading").boundingBox();
  assert.ok(from && to);
  await page.mouse.move(from.x + 4, from.y + 4);
  await page.mouse.down();
  await page.mouse.move(to.x + 40, to.y + 120, { steps: 8 });
  await page.mouse.up();
  await column("Sent").getByText(second.name, { exact: true }).waitFor();
  await page.getByRole("button", { name: tab.t("buttons.undo") }).click();
  await column("Pending").getByText(second.name, { exact: true }).waitFor();
  assert.equal((await here.product.inAirtable(second.record_id)).Status, "Pending");
});

look("the export holds every order that matches", {}, async (tab) => {
  const { page } = tab;
  const { total } = await list("status=Delivered");
  await tab.go("/orders?status=Delivered");
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: tab.t("orders.export.name") }).click();
  const file = await download;
  assert.match(file.suggestedFilename(), /\.csv$/);
  const [head = "", ...rows] = readFileSync(await file.path(), "utf8")
    .trim()
    .split(/\r?\n(?=rec\w{14}[,;])/);
  // in the language of the page; trim takes the byte order mark away too
  assert.match(head, /^(record_id,.*,status,|Id\. de registro;.*;Estado;)/);
  assert.equal(rows.length, total);
  assert.ok(rows.every((row) => /[,;](Delivered|Entregado)[,;]/.test(row)));
});

look("an order shows its history and all of its fields, and is edited there too", {}, async (tab) => {
  const { page } = tab;
  const [, , order] = (await list("status=Processing")).data;
  assert.ok(order);
  await tab.go(`/orders/show/${order.record_id}`);
  await live(tab);
  await here.product.changeInAirtable(order.record_id, { Notes: "Ring twice.", Status: "Sent" });
  await page.getByText("Ring twice.").first().waitFor();
  await change(tab, page.getByRole("main"), "priority", order.priority === "High" ? "Low" : "High");
  await until("it is in Airtable", 20_000, async () => {
    return (await here.product.inAirtable(order.record_id)).Priority !== order.priority;
  });
  await page.getByText(tab.t("orders.history.source.api")).first().waitFor();
});

look("a range the wrong way round is explained, and turned", {}, async (tab) => {
  const { page } = tab;
  const { total } = await list("amount_gte=100&amount_lte=500");
  await tab.go("/orders?amount_gte=500&amount_lte=100");
  await page.getByText(tab.t("orders.filters.crossed")).waitFor();
  await page.getByRole("button", { name: tab.t("orders.filters.swap") }).click();
  await counted(tab, total);
  assert.match(page.url(), /amount_gte=100&amount_lte=500/);
});

look("an order from Airtable is not called made when it was first read", {}, async (tab) => {
  const { page } = tab;
  const [order] = (await list("status=Delivered")).data;
  assert.ok(order);
  await tab.go(`/orders/show/${order.record_id}`);
  await page.getByText(tab.t("orders.history.imported")).waitFor();
});

look("viewers see all and change nothing", { as: "viewer" }, async (tab) => {
  const { page } = tab;
  await tab.go("/orders");
  const { data } = await list("");
  await rowOf(page, data[0] as Order).waitFor();
  assert.equal(await page.getByRole("checkbox").count(), 0);
  assert.equal(await page.locator("button[aria-haspopup=menu]").count(), 0);
  await tab.go(`/orders/show/${data[0]?.record_id}`);
  assert.equal(await page.locator("main button[aria-haspopup=menu]").count(), 0);
});

const rowOf = (page: Page, { name }: Order): Locator => page.getByRole("row").filter({ hasText: name });

const names = (page: Page): Promise<string[]> => page.getByRole("row").getByRole("link").allInnerTexts();

/** Waits until one of these is said to those who do not see the board. */
async function said(page: Page, ...texts: string[]): Promise<void> {
  await page.waitForFunction(
    (all) => all.includes(document.querySelector("[aria-live=assertive]")?.textContent ?? ""),
    texts,
  );
}

/** Waits until the page says that so many orders match. */
async function counted(tab: Tab, n: number): Promise<void> {
  const text = tab.t(n === 1 ? "orders.count.one" : "orders.count.many", { n: n.toLocaleString("en-GB") });
  await tab.page.getByText(text, { exact: true }).waitFor();
  await gone(tab.page.locator("[aria-busy=true]"));
}

async function live(tab: Tab): Promise<void> {
  await tab.page.getByText(tab.t("connection.live"), { exact: true }).waitFor();
}

/** Chooses another status or priority where it stands. */
async function change(tab: Tab, within: Locator, field: "status" | "priority", value: string): Promise<void> {
  const label = tab.t("orders.edit.change", { field: tab.t(`orders.fields.${field}`), value: "…" }).split("…")[0] ?? "";
  await within.getByRole("button", { name: label }).click();
  await tab.page.getByRole("menuitem", { name: tab.t(`${field}.${value}`) }).click();
}
