import assert from "node:assert/strict";
import { afterEach } from "node:test";
import { gone, onProduct } from "./browser.ts";
import { until } from "./product.ts";

const here = onProduct({ SYNC_INTERVAL_MINUTES: "60" });
const { look } = here;
afterEach(() => here.product.airtable("faults", "DELETE"));

look("a run that is asked for shows its progress and its outcome", {}, async (tab) => {
  const { page } = tab;
  await tab.go("/sync");
  // Every page of the list takes its time, as Airtable's do.
  await here.product.airtable("faults", "POST", { on: "list", do: "slow", delay_ms: 600, times: -1 });
  await page.getByRole("button", { name: tab.t("sync.choose") }).click();
  await page.getByRole("menuitem", { name: tab.t("sync.runMode.full") }).click();
  const progress = page.getByRole("progressbar", { name: tab.t("sync.progress.label") });
  await progress.waitFor();
  const seen = new Set<number>();
  while (await progress.isVisible()) {
    const now = Number(await progress.getAttribute("aria-valuenow", { timeout: 500 }).catch(() => Number.NaN));
    if (now >= 0) seen.add(now);
  }
  const values = [...seen];
  assert.ok(values.length > 2, `it moves: ${values}`);
  assert.deepEqual(
    values,
    values.toSorted((a, b) => a - b),
    "never back",
  );
  const run = page.getByRole("row").nth(1);
  await run.getByText(tab.t("sync.runs.succeeded")).waitFor();
  await run.getByText(tab.t("sync.mode.full")).waitFor();
  await run.getByText(tab.t("sync.trigger.request")).waitFor();
});

look("a run that fails says why, and the next one that it is over", {}, async (tab) => {
  const { page } = tab;
  const { product } = here;
  await tab.go("/sync");
  await product.airtable("faults", "POST", { do: "unauthorized", times: -1 });
  await page.getByRole("button", { name: tab.t("sync.now") }).click();
  const alert = page.getByRole("alert").filter({ hasText: tab.t("sync.failure") });
  await alert.waitFor();
  assert.ok(((await alert.textContent()) ?? "").length > tab.t("sync.failure").length + 10, "with a reason");
  await product.airtable("faults", "DELETE");
  await page.getByRole("button", { name: tab.t("sync.now") }).click();
  await gone(alert);
});

look("more than a fifth of the orders gone at once waits for a person", {}, async (tab) => {
  const { page } = tab;
  const { product } = here;
  const { data } = await product.api<{ data: { record_id: string }[] }>("/api/orders?page_size=100");
  const more = await product.api<{ data: { record_id: string }[] }>("/api/orders?page_size=100&page=2");
  const ids = [...data, ...more.data].map(({ record_id }) => record_id);
  await tab.go("/sync");
  await product.airtable("records", "POST", { delete: ids });
  await page.getByRole("button", { name: tab.t("sync.choose") }).click();
  await page.getByRole("menuitem", { name: tab.t("sync.runMode.full") }).click();
  const button = page.getByRole("button", { name: tab.t("sync.held.confirm") });
  await button.first().click();
  await page
    .getByRole("tooltip")
    .getByRole("button", { name: tab.t("buttons.delete") })
    .click();
  await gone(button);
  await until("they are gone", 10_000, async () => {
    return (await product.api<{ total: number }>("/api/orders")).total === 300;
  });
});

look("viewers cannot start a run", { as: "viewer" }, async (tab) => {
  await tab.go("/sync");
  assert.equal(await tab.page.getByRole("button", { name: tab.t("sync.now") }).isDisabled(), true);
});
