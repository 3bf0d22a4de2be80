import assert from "node:assert/strict";
import { test } from "node:test";
import { desktop, onProduct, phone, type Tab } from "./browser.ts";
import { pages } from "./pages.ts";
import { until } from "./product.ts";

const limit = 500 * 1024; // bytes

const here = onProduct({ AIRTABLE_SANDBOX_ORDERS: "40" });
const { look } = here;

look("the login is accessible and fits a phone, in both themes", { as: null }, async (tab) => {
  await tab.go("/login");
  await everywhere(tab);
});

test("every page is accessible and fits a phone, in both themes", { timeout: 300_000 }, async (t) => {
  const tab = await here.visitors.open(); // one for all: its cache has the code that pages share
  for (const [name, path] of Object.entries(await pages(here.product))) {
    await t.test(name, async () => {
      tab.complaints.length = 0;
      await tab.page.setViewportSize(desktop);
      await tab.page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
      await tab.go(path);
      assert.match(await tab.page.title(), /\S+ · Resonance$/);
      await everywhere(tab);
      assert.deepEqual(tab.complaints, []);
    });
  }
});

look("the login page and the dashboard weigh less than 500 KiB on the wire", { as: null }, async (tab) => {
  const { page } = tab;
  const client = await page.context().newCDPSession(page);
  await client.send("Network.enable");
  const weights = new Map<string, number>();
  const addresses = new Map<string, string>();
  client.on("Network.requestWillBeSent", ({ requestId, request }) => addresses.set(requestId, request.url));
  client.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    weights.set(addresses.get(requestId) ?? requestId, encodedDataLength);
  });
  await tab.go("/login");
  await tab.login("admin");
  await page.waitForURL(`${tab.url}/`);
  await tab.loaded();
  await page.waitForLoadState("networkidle");
  const sum = [...weights.values()].reduce((all, weight) => all + weight, 0);
  console.log(`login page and dashboard, all they load: ${Math.round(sum / 1024)} KiB`);
  assert.ok(weights.size > 5 && sum > 50_000, "something was measured");
  assert.ok(sum < limit, `${Math.round(sum / 1024)} KiB: ${JSON.stringify([...weights])}`);
});

/** Looks at what is shown in light on a desktop and in the dark on a phone. */
async function everywhere(tab: Tab): Promise<void> {
  const { page } = tab;
  assert.deepEqual(await tab.accessibility(), [], "axe, desktop, light");
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await page.setViewportSize(phone);
  await tab.loaded();
  await until("it fits a phone", 15_000, () =>
    page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth),
  );
  assert.deepEqual(await tab.accessibility(), [], "axe, phone, dark");
}
