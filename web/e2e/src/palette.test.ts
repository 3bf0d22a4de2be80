import assert from "node:assert/strict";
import { onProduct, type Tab } from "./browser.ts";

const here = onProduct({ AIRTABLE_SANDBOX_ORDERS: "60" });
const { look } = here;

interface Row {
  id: number;
  name: string;
  default_code: string;
  barcode: string;
}

const dialog = (tab: Tab) => tab.page.getByRole("dialog", { name: tab.t("header.search") });
const option = (tab: Tab, name: string | RegExp) => dialog(tab).getByRole("option", { name }).first();

look("the palette takes every letter that is typed after its keys", {}, async (tab) => {
  const { page } = tab;
  await tab.go("/sync");
  // Both in one turn of the page, as a fast typist's keys may be.
  await page.evaluate(() => {
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true, bubbles: true }));
    document.execCommand("insertText", false, "Muñoz");
  });
  const input = dialog(tab).getByRole("combobox");
  assert.equal(await input.inputValue(), "Muñoz");
  assert.deepEqual(await tab.accessibility(), []);
  await page.keyboard.press("Escape");
  await dialog(tab).waitFor({ state: "hidden" });
  await page.keyboard.press("Control+k");
  await page.keyboard.type("sy");
  assert.equal(await input.inputValue(), "sy");
});

look("the palette finds suppliers, references and barcodes, and leads to all results", {}, async (tab) => {
  const { page } = tab;
  const { product } = here;
  const first = async (path: string) => (await product.api<{ data: Row[] }>(path)).data[0] as Row;
  const supplier = await first("/api/v1/suppliers?limit=1");
  const goods = await first("/api/v1/products?limit=1");
  await tab.go("/sync");
  const search = async (text: string) => {
    await page.keyboard.press("Control+k");
    await dialog(tab).getByRole("combobox").fill(text);
  };
  await search(supplier.name);
  await option(tab, supplier.name).click();
  await page.waitForURL(`${tab.url}/suppliers/show/${supplier.id}`);
  for (const code of [goods.default_code, goods.barcode]) {
    await tab.go("/sync");
    await search(code);
    await option(tab, goods.name).click();
    await page.waitForURL(`${tab.url}/products/show/${goods.id}`);
  }
  const { total } = await product.api<{ total: number }>("/api/orders?q=Order&page_size=1");
  await search("Order");
  await option(tab, tab.t("palette.all", { n: total.toLocaleString("en-GB") })).click();
  await page.waitForURL(`${tab.url}/orders?q=Order`);
});

look("the palette knows actions by their names in every language", { language: "en" }, async (tab) => {
  const { page } = tab;
  await tab.go("/orders");
  for (const [typed, name] of [
    ["nuevo producto", tab.t("palette.new.products")],
    ["terminar sess", tab.t("header.logout")],
    ["sincronizar", tab.t("palette.sync")],
    ["new prod", tab.t("palette.new.products")],
  ] as const) {
    await page.keyboard.press("Control+k");
    await dialog(tab).getByRole("combobox").fill(typed);
    await option(tab, name).waitFor();
    await page.keyboard.press("Escape");
  }
});

look("Portuguese is a language like the others", { language: "pt" }, async (tab) => {
  const { page } = tab;
  await tab.go("/orders");
  await page.getByRole("heading", { level: 1, name: tab.t("orders.title") }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "pt");
});
