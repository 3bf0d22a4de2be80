import assert from "node:assert/strict";
import { onProduct } from "./browser.ts";
import type { Order } from "./product.ts";

const here = onProduct({ AIRTABLE_SANDBOX_ORDERS: "60" });
const { look } = here;

look("the table of syncs fits a usual screen, in Spanish", { language: "es" }, async (tab) => {
  const { page } = tab;
  await tab.go("/sync");
  const last = page.getByRole("columnheader", { name: tab.t("sync.runs.calls") });
  const [head, frame] = await Promise.all([last.boundingBox(), page.locator(".ant-table").boundingBox()]);
  assert.ok(head && frame);
  assert.ok(head.x + head.width <= frame.x + frame.width + 1, `${head.x + head.width} of ${frame.x + frame.width}`);
});

look(
  "on a small laptop a table that is too wide keeps its names",
  { viewport: { width: 1024, height: 700 } },
  async (tab) => {
    const { page } = tab;
    const { data } = await here.product.api<{ data: Order[] }>("/api/orders?sort=-order_date&page_size=1");
    await tab.go("/orders");
    assert.ok(((await page.getByRole("complementary").boundingBox())?.width ?? 999) < 100, "a narrow sidebar");
    const table = page.getByRole("region", { name: tab.t("orders.scroll") });
    await table.evaluate((element) => element.scrollTo({ left: 10_000 }));
    const name = page.getByRole("link", { name: data[0]?.name ?? "" });
    const [box, frame] = await Promise.all([name.boundingBox(), table.boundingBox()]);
    assert.ok(box && frame && box.x >= frame.x, "the name is in sight");
  },
);

look("what is printed is the record, not the frame", {}, async (tab) => {
  const { page } = tab;
  const { data } = await here.product.api<{ data: Order[] }>("/api/orders?page_size=1");
  await tab.go(`/orders/show/${data[0]?.record_id}`);
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.getByRole("navigation").isVisible(), false);
  assert.equal(await page.getByRole("button", { name: tab.t("orders.copyId") }).isVisible(), false);
  assert.equal(await page.getByRole("heading", { level: 1 }).isVisible(), true);
});

for (const theme of ["light", "dark"] as const)
  look(`a link that is pointed at can be read, ${theme}`, { theme }, async (tab) => {
    const { page } = tab;
    await tab.go("/products");
    await page.locator("tbody a").first().hover();
    assert.deepEqual(await tab.accessibility(), []);
    const ratio = await page
      .locator("tbody a")
      .first()
      .evaluate((link) => {
        const row = link.closest("td");
        const [one = 0, other = 0] = [getComputedStyle(link).color, row ? getComputedStyle(row).backgroundColor : ""]
          .map((color) =>
            (color.match(/[\d.]+/g) ?? []).slice(0, 3).map((part) => {
              const c = Number(part) / 255;
              return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
            }),
          )
          .map(([r = 0, g = 0, b = 0]) => 0.2126 * r + 0.7152 * g + 0.0722 * b);
        return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      });
    assert.ok(ratio >= 4.5, `${ratio.toFixed(2)}:1`);
  });
