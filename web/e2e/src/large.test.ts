import assert from "node:assert/strict";
import { onProduct } from "./browser.ts";

const orders = 100_000;
const limit = 300; // ms from the click to the rows on the screen
const patience = 120_000; // ms in which every filter has to be that quick once

const here = onProduct({ AIRTABLE_SANDBOX_ORDERS: String(orders) });
const { look } = here;
look(`the table of ${orders} orders answers a filter within ${limit} ms`, {}, async (tab) => {
  const { page } = tab;
  const all = tab.t("orders.count.many", { n: orders.toLocaleString("en-GB") });
  // Of each filter the best of some rounds: what else the machine is doing is not what is measured.
  const best = new Map<string, number>();
  const filters = ["status.Pending", "priority.High", "status.Sent", "priority.Low", "status.Cancelled"];
  const met = () => filters.every((key) => (best.get(key) ?? Number.POSITIVE_INFINITY) < limit);
  for (const end = Date.now() + patience; !met() && Date.now() < end; ) {
    await tab.go("/orders"); // forgets what was read before
    await page.getByText(all, { exact: true }).waitFor();
    await page.waitForLoadState("networkidle");
    await page.getByRole("button", { name: tab.t("orders.filters.title") }).click();
    const took: number[] = []; // by what was not asked before: one after another on, then all but one off again
    for (const key of [...filters, ...filters.slice(0, -1)]) {
      const box = page.getByRole("checkbox", { name: tab.t(key) });
      await box.waitFor();
      const ms = Math.round(await box.evaluate(untilAnswered));
      took.push(ms);
      best.set(key, Math.min(ms, best.get(key) ?? ms));
    }
    console.log(`filters of ${orders} orders, from click to rows: ${took.join(", ")} ms`);
  }
  assert.ok(met(), `${JSON.stringify([...best])} ms`);
});

/** Clicks, and gives the milliseconds until the answer is on the screen. Runs in the page. */
function untilAnswered(box: Element): Promise<number> {
  return new Promise((resolve) => {
    const began = performance.now();
    let asked = false;
    const observer = new MutationObserver(() => {
      const busy = document.querySelector("main [aria-busy=true]") !== null;
      if (busy) asked = true;
      if (!asked || busy) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began))); // painted
    });
    observer.observe(document.body, {
      subtree: true,
      childList: true,
      attributes: true,
      attributeFilter: ["aria-busy"],
    });
    (box as HTMLElement).click();
  });
}
