import assert from "node:assert/strict";
import { onProduct } from "./browser.ts";

const orders = 100_000;
const limit = 300; // ms from the click to the rows on the screen

const here = onProduct({ AIRTABLE_SANDBOX_ORDERS: String(orders) });
const { look } = here;
look(`the table of ${orders} orders answers a filter within ${limit} ms`, {}, async (tab) => {
  const { page } = tab;
  const all = tab.t("orders.count.many", { n: orders.toLocaleString("en-GB") });
  // The best of some rounds: what else the machine is doing is not what is measured.
  const rounds: number[] = [];
  while (rounds.length < 5 && !rounds.some((median) => median < limit)) {
    await tab.go("/orders"); // forgets what was read before
    await page.getByText(all, { exact: true }).waitFor();
    await page.getByRole("button", { name: tab.t("orders.filters.title") }).click();
    const took: number[] = [];
    for (const key of ["status.Pending", "priority.High", "status.Sent", "priority.Low", "status.Cancelled"]) {
      const box = page.getByRole("checkbox", { name: tab.t(key) });
      await box.waitFor();
      took.push(await box.evaluate(untilAnswered));
    }
    rounds.push(took.toSorted((a, b) => a - b)[2] ?? Number.POSITIVE_INFINITY);
    console.log(`filters of ${orders} orders, from click to rows: ${took.map(Math.round).join(", ")} ms`);
  }
  assert.ok(Math.min(...rounds) < limit, `${rounds} ms`);
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
