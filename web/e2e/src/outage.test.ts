import assert from "node:assert/strict";
import { gone, onProduct } from "./browser.ts";
import { type Order, until } from "./product.ts";

const here = onProduct();
const { look } = here;

const offline =
  /ERR_CONNECTION|ERR_FAILED|ERR_INTERNET_DISCONNECTED|WebSocket connection|ERR_NETWORK|ERR_EMPTY_RESPONSE|status of 50\d/;

look("the product killed and restarted in the middle of work: nothing is lost", { expected: offline }, async (tab) => {
  const { page } = tab;
  const { product } = here;
  const { data } = await product.api<{ data: Order[] }>("/api/orders?status=Pending&page_size=1");
  const [order] = data;
  assert.ok(order);
  await tab.go(`/orders/show/${order.record_id}`);
  await page.getByText(tab.t("connection.live"), { exact: true }).waitFor();

  // Airtable is away, so that what is edited now is on its way when all is killed.
  await product.airtable("faults", "POST", { on: "write", do: "unavailable", times: -1 });
  await product.api(`/api/orders/${order.record_id}`, "PATCH", { status: "Sent" });
  await page.getByRole("main").getByText(tab.t("status.Sent")).first().waitFor();
  await product.end("SIGKILL");

  const banner = page.getByText(tab.t("connection.reconnectingText"));
  await banner.waitFor();
  await page.getByRole("main").getByText(tab.t("status.Sent")).first().waitFor();

  await product.run();
  await gone(banner);
  await page.getByText(tab.t("connection.live"), { exact: true }).waitFor();
  await until("the edit is in Airtable", 30_000, async () => {
    const { Status } = await product.inAirtable(order.record_id);
    return Status === "Sent";
  });
  await product.changeInAirtable(order.record_id, { Status: "Delivered" });
  await page.getByRole("main").getByText(tab.t("status.Delivered")).first().waitFor();
});

look("nothing is called saved before the server has it", { expected: offline }, async (tab) => {
  const { page } = tab;
  const { product } = here;
  const { data } = await product.api<{ data: Order[] }>("/api/orders?status=Pending&page_size=1");
  const [order] = data;
  assert.ok(order);
  await tab.go(`/orders/show/${order.record_id}`);
  await page.getByText(tab.t("connection.live"), { exact: true }).waitFor();
  let answer: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  await page.route("**/api/orders", async (route) => {
    if (route.request().method() !== "PATCH") return route.continue();
    await held;
    return route.abort();
  });
  const label = tab.t("orders.edit.change", { field: tab.t("orders.fields.priority"), value: "…" }).split("…")[0] ?? "";
  await page.getByRole("main").getByRole("button", { name: label }).click();
  const other = order.priority === "High" ? "Low" : "High";
  await page.getByRole("menuitem", { name: tab.t(`priority.${other}`) }).click();
  await page.getByText(tab.t("orders.edit.saving")).waitFor();
  assert.equal(await page.getByText(tab.t("orders.edit.pending")).count(), 0);
  answer?.();
  await gone(page.getByText(tab.t("orders.edit.saving")));
  assert.equal((await product.order(order.record_id)).priority, order.priority);
});

look("without a network it says so, and catches up when that is back", { expected: offline }, async (tab) => {
  const { page } = tab;
  const { product } = here;
  const { data } = await product.api<{ data: Order[] }>("/api/orders?status=Processing&page_size=1");
  const [order] = data;
  assert.ok(order);
  await tab.go(`/orders/show/${order.record_id}`);
  await page.getByText(tab.t("connection.live"), { exact: true }).waitFor();
  await page.context().setOffline(true);
  const banner = page.getByText(tab.t("connection.offlineText"));
  await banner.waitFor();
  await product.changeInAirtable(order.record_id, { Status: "Cancelled" });
  await until("the change is there", 30_000, async () => (await product.order(order.record_id)).status === "Cancelled");
  await page.context().setOffline(false);
  await gone(banner);
  await page.getByRole("main").getByText(tab.t("status.Cancelled")).first().waitFor();
});
