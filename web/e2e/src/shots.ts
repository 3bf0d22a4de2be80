// Writes a picture of every page into a folder: npm run shots -w e2e -- <folder> [en|es]
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { desktop, phone, Visitors } from "./browser.ts";
import { pages } from "./pages.ts";
import { Product } from "./product.ts";
import type { Language } from "./texts.ts";

const [folder, language = "en"] = process.argv.slice(2) as [string | undefined, Language | undefined];
if (!folder) throw new Error("usage: npm run shots -w e2e -- <folder> [en|es]");
const out = resolve(process.env.INIT_CWD ?? ".", folder);
mkdirSync(out, { recursive: true });

const product = await Product.start({ AIRTABLE_SANDBOX_ORDERS: "2000" });
const visitors = await Visitors.with(product);
try {
  const all = Object.entries(await pages(product));
  for (const [size, viewport] of Object.entries({ desktop, phone })) {
    for (const theme of ["light", "dark"] as const) {
      for (const [name, path] of [["login", "/login"], ...all] as const) {
        const tab = await visitors.open({ theme, viewport, language, as: name === "login" ? null : "admin" });
        await tab.go(path);
        await tab.page.waitForLoadState("networkidle");
        await tab.page.screenshot({ path: join(out, `${name}-${size}-${theme}.png`) });
        for (const complaint of tab.complaints) console.error(`${name}, ${size}, ${theme}: ${complaint}`);
        await tab.page.context().close();
      }
    }
  }
} finally {
  await visitors.close();
  await product.remove();
}
