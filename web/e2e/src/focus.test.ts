import assert from "node:assert/strict";
import { onProduct, type Tab } from "./browser.ts";
import { pages } from "./pages.ts";

const here = onProduct({ AIRTABLE_SANDBOX_ORDERS: "40" });
const { look } = here;

const stops = 70; // Tab presses on a page
const margin = 6; // px around an element in which a ring may be

for (const theme of ["light", "dark"] as const)
  look(`what has the keyboard's focus is seen to have it, ${theme}`, { theme }, async (tab) => {
    const { orders = "", products = "", sync = "", customer = "" } = await pages(here.product);
    const seen = new Set<string>();
    const invisible: string[] = [];
    for (const path of [orders, products, sync, customer]) {
      await tab.go(path);
      for (let i = 0; i < stops; i++) {
        await tab.page.keyboard.press("Tab");
        const kind = await focused(tab);
        if (kind === undefined) break;
        if (seen.has(kind)) continue;
        seen.add(kind);
        const changed = await ring(tab);
        if (changed < 40) invisible.push(`${path}: ${kind}: ${changed} pixels`);
      }
    }
    assert.deepEqual(invisible, []);
    for (const kind of ["a.", "th.", "button.ant-btn"])
      assert.ok(
        [...seen].some((one) => one.startsWith(kind)),
        `${kind} among ${[...seen].join(", ")}`,
      );
  });

/** The kind of what has the focus: its tag and its classes. */
const focused = (tab: Tab): Promise<string | undefined> =>
  tab.page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return undefined;
    element.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
    const place = element.closest("nav, header, aside, thead, tbody, main, [id=content]")?.tagName.toLowerCase();
    return `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""} in ${place}`;
  });

/** How many pixels in and around it change by at least 3:1 when the focus leaves it. */
async function ring(tab: Tab): Promise<number> {
  const { page } = tab;
  const handle = (await page.evaluateHandle(() => document.activeElement)).asElement();
  const box = await handle?.evaluate((element) => {
    const area = element.matches("input") ? (element.closest("label, .ant-select, .ant-picker") ?? element) : element;
    const wrapper = area.closest(".ant-input-affix-wrapper, .ant-menu-item") ?? area;
    const { x, y, width, height } = wrapper.getBoundingClientRect();
    return { x, y, width, height };
  });
  const viewport = page.viewportSize();
  assert.ok(handle && box && viewport);
  const x = Math.max(0, box.x - margin);
  const y = Math.max(0, box.y - margin);
  const clip = {
    x,
    y,
    width: Math.max(1, Math.min(viewport.width, box.x + box.width + margin) - x),
    height: Math.max(1, Math.min(viewport.height, box.y + box.height + margin) - y),
  };
  const picture = async () => (await page.screenshot({ clip, caret: "hide" })).toString("base64");
  const withFocus = await picture();
  await handle.evaluate((element) => (element as HTMLElement).blur());
  const without = await picture();
  // No function in it has a name: what names functions for the tests is not there in the page.
  return page.evaluate(
    async (pictures) => {
      const [one = [], other = []] = await Promise.all(
        pictures.map(async (png) => {
          const bytes = Uint8Array.from(atob(png), (char) => char.charCodeAt(0));
          const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
          const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
          context?.drawImage(bitmap, 0, 0);
          const data = context?.getImageData(0, 0, bitmap.width, bitmap.height).data ?? [];
          const linear = Array.from(data, (part) =>
            part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4,
          );
          return Array.from(
            { length: linear.length / 4 },
            (_, i) =>
              0.2126 * (linear[4 * i] ?? 0) + 0.7152 * (linear[4 * i + 1] ?? 0) + 0.0722 * (linear[4 * i + 2] ?? 0),
          );
        }),
      );
      return one.filter((l, i) => {
        const was = other[i] ?? 0;
        return (Math.max(l, was) + 0.05) / (Math.min(l, was) + 0.05) >= 3;
      }).length;
    },
    [withFocus, without],
  );
}
