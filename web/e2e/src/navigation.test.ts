import assert from "node:assert/strict";
import { onProduct } from "./browser.ts";

const here = onProduct({ AIRTABLE_SANDBOX_ORDERS: "40" });
const { look } = here;

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
