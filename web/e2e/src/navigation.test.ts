import assert from "node:assert/strict";
import { onProduct } from "./browser.ts";

const here = onProduct({ AIRTABLE_SANDBOX_ORDERS: "40" });
const { look } = here;

const offline = /ERR_CONNECTION|ERR_FAILED|WebSocket connection|ERR_EMPTY_RESPONSE|status of 50\d|dynamically imported/;

look("an address that does not exist is the app's own 404", {}, async (tab) => {
  const { page } = tab;
  for (const path of ["/nope", "/settings", "/orders/nope"]) {
    await page.goto(tab.url + path);
    await page.getByText(tab.t("states.notFound"), { exact: true }).waitFor();
    await page.getByRole("link", { name: tab.t("nav.orders"), exact: true }).waitFor();
  }
  await tab.go("/Orders?page=2");
  assert.equal(page.url(), `${tab.url}/orders?page=2`);
});

look(
  "a page that was not loaded before the server went away comes when it is back, without a reload",
  { expected: offline },
  async (tab) => {
    const { page } = tab;
    await page.route(/assets\/sync-/, (route) => route.abort()); // not prefetched either
    await tab.go("/orders");
    await page.evaluate(() => document.body.setAttribute("data-same", ""));
    await here.product.end("SIGKILL");
    await page.getByRole("link", { name: tab.t("nav.sync"), exact: true }).click();
    await page.getByText(tab.t("connection.reconnectingText")).waitFor();
    await page.getByRole("status", { name: tab.t("states.loading") }).waitFor();
    await page.unroute(/assets\/sync-/);
    await here.product.run();
    await page.getByRole("heading", { level: 1, name: tab.t("sync.title") }).waitFor();
    assert.equal(await page.locator("body[data-same]").count(), 1);
  },
);

look("pages are there before they are gone to", { expected: offline }, async (tab) => {
  const { page } = tab;
  const loaded = page.waitForResponse(/assets\/sync-/);
  await tab.go("/orders");
  await loaded;
});
