import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { gone, onProduct, type Tab } from "./browser.ts";
import { until } from "./product.ts";

const here = onProduct();
const { look } = here;

interface Row {
  id: number;
  name: string;
  barcode: string;
}
const products = async () => (await here.product.api<{ data: Row[] }>("/api/v1/products?limit=5")).data;

look("what Odoo refuses is said at its field, and nothing typed is lost", { expected: / 409 / }, async (tab) => {
  const { page } = tab;
  const [other] = await products();
  assert.ok(other);
  await tab.go("/products/create");
  await page.getByLabel(tab.t("products.fields.name")).fill("Corner flag");
  const barcode = page.getByLabel(tab.t("products.fields.barcode"));
  await barcode.fill(other.barcode);
  await save(tab);
  await page.waitForFunction((input) => input?.getAttribute("aria-invalid") === "true", await barcode.elementHandle());
  assert.match(await described(page, await barcode.getAttribute("aria-describedby")), /another product/i);
  assert.equal(await page.getByLabel(tab.t("products.fields.name")).inputValue(), "Corner flag");
  await barcode.fill("8400000999992");
  await save(tab);
  await page.getByRole("heading", { level: 1, name: "Corner flag" }).waitFor();
  await page.getByText("8400000999992").waitFor();
});

look("a field that is missing is said before anything is sent", {}, async (tab) => {
  const { page } = tab;
  await tab.go("/products/create");
  const sent: string[] = [];
  page.on("request", (request) => request.method() === "POST" && sent.push(request.url()));
  await save(tab);
  const name = page.getByLabel(tab.t("products.fields.name"));
  await page.waitForFunction((input) => input?.getAttribute("aria-invalid") === "true", await name.elementHandle());
  assert.deepEqual(sent, []);
});

look("a number that cannot be is said, and stays as it was typed", {}, async (tab) => {
  const { page } = tab;
  await tab.go("/products/create");
  const sent: string[] = [];
  page.on("request", (request) => request.method() === "POST" && sent.push(request.url()));
  await page.getByLabel(tab.t("products.fields.name")).fill("Corner flag");
  const price = page.getByLabel(tab.t("products.fields.list_price"));
  for (const [typed, text] of [
    ["-5", tab.t("records.least", { min: 0 })],
    ["abc", tab.t("records.notNumber")],
  ] as const) {
    await price.fill(typed);
    await save(tab);
    await page.getByText(text, { exact: true }).waitFor();
    assert.ok((await price.inputValue()).startsWith(typed));
  }
  assert.deepEqual(sent, []);
});

look("the address of a list says what it shows, and a page beyond the last is the last", {}, async (tab) => {
  const { page } = tab;
  await tab.go("/products");
  await page.getByRole("searchbox").fill("ball");
  await page.waitForURL(`${tab.url}/products?q=ball`);
  await page.getByRole("columnheader", { name: tab.t("products.fields.list_price") }).click();
  await page.waitForURL(`${tab.url}/products?q=ball&sort=list_price`);
  await page.goBack();
  await page.waitForURL(`${tab.url}/products?q=ball`);
  await tab.go("/products?page=99");
  await page.waitForURL((url) => url.pathname === "/products" && url.search !== "?page=99");
  await page.getByRole("row").nth(1).waitFor();
});

look("what is archived can be undone, and a page that is left does not lose it", {}, async (tab) => {
  const { page } = tab;
  const { product } = here;
  const [row] = await products();
  assert.ok(row);
  const archived = async () => !(await product.api<{ active: boolean }>(`/api/v1/products/${row.id}`)).active;
  const archive = () => page.getByRole("button", { name: tab.t("records.archive") }).click();
  await tab.go(`/products/show/${row.id}`);
  await archive();
  await page.getByText(tab.t("records.archiving", { name: row.name })).waitFor();
  await page.getByRole("button", { name: tab.t("buttons.undo") }).click();
  await page.getByRole("button", { name: tab.t("records.archive") }).waitFor();
  await archive();
  await page.getByText(tab.t("records.archiving", { name: row.name })).waitFor();
  await page.reload();
  await until("it is archived", 30_000, archived);
  await tab.loaded();
  await page.getByText(tab.t("records.archivedNote")).waitFor();
  await page.getByRole("button", { name: tab.t("records.restore") }).click();
  await page.getByText(tab.t("records.didRestore", { name: row.name })).waitFor();
  assert.equal(await archived(), false);
});

look("a link can be set to what no record has yet", {}, async (tab) => {
  const { page } = tab;
  const { product } = here;
  const countries = (await product.api<{ data: Row[] }>("/api/v1/options/countries?limit=100")).data;
  const used = async ({ id }: Row) =>
    (await product.api<{ total: number }>(`/api/v1/customers?limit=1&country=${id}`)).total > 0;
  const uses = await Promise.all(countries.map(used));
  const unused = countries.find((_, i) => !uses[i]);
  assert.ok(unused, "a country without customers");
  await tab.go("/customers/create");
  await page.getByLabel(tab.t("partners.fields.name")).fill("Far Away FC");
  await choose(page, tab.t("partners.fields.country"), unused.name);
  await save(tab);
  await page.getByRole("heading", { level: 1, name: "Far Away FC" }).waitFor();
  await page.getByRole("main").getByText(unused.name, { exact: true }).waitFor();
});

look("a change in Odoo appears without a reload", {}, async (tab) => {
  const { page } = tab;
  const [, row] = await products();
  assert.ok(row);
  await tab.go("/products");
  await page.getByRole("link", { name: row.name, exact: true }).waitFor();
  await page.getByText(tab.t("connection.live"), { exact: true }).waitFor();
  await here.product.odoo("product.product", "write", { ids: [row.id], vals: { name: "A whistle" } });
  await page.getByRole("link", { name: "A whistle", exact: true }).waitFor();
});

look("two who change one product at a time: the second is told", { expected: / 412 / }, async (tab) => {
  const { page } = tab;
  const [, , row] = await products();
  assert.ok(row);
  await tab.go(`/products/edit/${row.id}`);
  await page.getByLabel(tab.t("products.fields.weight")).fill("3.5");
  await here.product.odoo("product.product", "write", { ids: [row.id], vals: { name: "Theirs" } });
  const notice = page.getByText(tab.t("records.conflict.title"));
  await notice.waitFor();
  await page.getByRole("button", { name: tab.t("records.conflict.mine") }).click();
  await page.getByRole("heading", { level: 1, name: "Theirs" }).waitFor();
  const { weight, name } = await here.product.api<{ weight: number; name: string }>(`/api/v1/products/${row.id}`);
  assert.deepEqual({ weight, name }, { weight: 3.5, name: "Theirs" }, "neither change is lost");
});

look("archiving a product can be undone while it is counted down", {}, async (tab) => {
  const { page } = tab;
  const [, , , row] = await products();
  assert.ok(row);
  await tab.go(`/products/show/${row.id}`);
  await page.getByRole("button", { name: tab.t("records.archive") }).click();
  await page.getByRole("button", { name: tab.t("buttons.undo") }).click();
  await page.getByRole("button", { name: tab.t("records.archive") }).waitFor();
  assert.equal((await here.product.api<{ active: boolean }>(`/api/v1/products/${row.id}`)).active, true);
});

look("a sale is made, confirmed and cancelled", {}, async (tab) => {
  const { page } = tab;
  const { product } = here;
  const { data } = await product.api<{ data: Row[] }>("/api/v1/customers?limit=1");
  const customer = data[0]?.name ?? "";
  const [ball] = await products();
  assert.ok(ball);
  await tab.go("/sales");
  await page.getByRole("link", { name: tab.t("sales.new") }).click();
  await page.getByRole("heading", { level: 1, name: tab.t("sales.new") }).waitFor(); // the list has a customer to choose too
  await choose(page, tab.t("sales.fields.partner"), customer);
  await choose(page, `${tab.t("sales.lines.line", { n: 1 })}: ${tab.t("sales.lines.product")}`, ball.name);
  await page.getByLabel(`${tab.t("sales.lines.line", { n: 1 })}: ${tab.t("sales.lines.qty")}`).fill("3");
  await save(tab);
  await page.getByText(tab.t("sales.states.draft"), { exact: true }).waitFor();
  const id = page.url().match(/\/sales\/show\/(\d+)/)?.[1];
  const sale = async () =>
    product.api<{ state: string; partner: Row; lines: { qty: number; product: Row }[] }>(`/api/v1/sales/${id}`);
  const { lines, partner } = await sale();
  assert.deepEqual([partner.name, lines.map(({ qty, product }) => [qty, product.id])], [customer, [[3, ball.id]]]);

  const edit = page.getByRole("link", { name: tab.t("buttons.edit") });
  await edit.waitFor();
  await page.getByRole("button", { name: tab.t("sales.actions.confirm") }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: tab.t("sales.actions.confirm") }).click();
  await page.getByText(tab.t("sales.states.sale"), { exact: true }).waitFor();
  await gone(edit);
  assert.equal((await sale()).state, "sale");

  await page.getByRole("button", { name: tab.t("sales.actions.cancel") }).click();
  await dialog.getByRole("button", { name: tab.t("sales.actions.cancel") }).click();
  await page.getByText(tab.t("sales.states.cancel"), { exact: true }).waitFor();
  assert.equal((await sale()).state, "cancel");
});

look("viewers read, and are offered nothing to change", { as: "viewer" }, async (tab) => {
  const { page } = tab;
  const [row] = await products();
  await tab.go("/products");
  assert.equal(await page.getByRole("button", { name: tab.t("products.new") }).count(), 0);
  await tab.go(`/products/show/${row?.id}`);
  assert.equal(await page.getByRole("button", { name: tab.t("buttons.edit") }).count(), 0);
  await page.goto(`${tab.url}/products/edit/${row?.id}`);
  await page.getByText(tab.t("states.forbidden")).waitFor();
  await gone(page.getByRole("textbox"));
});

/** Searches in a select for what is called `name`, and takes it. */
async function choose(page: Page, label: string, name: string): Promise<void> {
  await page.getByRole("combobox", { name: label }).fill(name);
  await page.locator(".ant-select-item-option").filter({ hasText: name }).first().click();
}

async function save(tab: Tab): Promise<void> {
  await tab.page.getByRole("button", { name: tab.t("buttons.save") }).click();
}

/** What describes an input to those who do not see it. */
async function described(page: Page, ids: string | null): Promise<string> {
  const texts = (ids ?? "").split(" ").map((id) => page.locator(`[id="${id}"]`).textContent());
  return (await Promise.all(texts)).join(" ");
}
