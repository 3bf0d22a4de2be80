import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import type { Page } from "playwright-core";
import { gone, onProduct, phone } from "./browser.ts";
import { secret, until } from "./product.ts";

const here = onProduct();
const { look } = here;

look(
  "logging in: a wrong password says so, the right one opens the dashboard",
  { as: null, expected: /\/token/ },
  async (tab) => {
    const { page } = tab;
    await tab.go("/orders?page=2");
    await page.waitForURL(/\/login/);
    await tab.login("admin", "wrong");
    await page
      .getByRole("alert")
      .filter({ hasText: /password/i })
      .waitFor();
    await tab.login("admin");
    await page.waitForURL(/\/orders\?page=2/);
    await tab.loaded();
    await page.getByRole("button", { name: "admin" }).click();
    await page.getByRole("menuitem", { name: tab.t("header.logout") }).click();
    await page.waitForURL(/\/login/);
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("accessToken")), false);
  },
);

look("both languages, by the browser and by choice, also after a reload", { language: "es" }, async (tab) => {
  const { page } = tab;
  await tab.go("/");
  await page.getByRole("link", { name: tab.t("nav.orders"), exact: true }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "es");
  await page.getByRole("button", { name: tab.t("header.language") }).click();
  await page.getByRole("menuitem", { name: "English" }).click();
  await page.getByRole("link", { name: "Orders", exact: true }).waitFor();
  await page.reload();
  await page.getByRole("link", { name: "Orders", exact: true }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  const spanish = page.getByRole("link", { name: tab.t("nav.suppliers"), exact: true });
  await gone(spanish);
});

look("light and dark, by the system and by choice, also after a reload", { theme: "dark" }, async (tab) => {
  const { page } = tab;
  await tab.go("/");
  await until("dark as the system", 15_000, async () => (await brightness(page)) < 60);
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await until("light as the system", 15_000, async () => (await brightness(page)) > 200);
  await page.getByRole("button", { name: tab.t("header.theme") }).click();
  await page.getByRole("menuitem", { name: tab.t("header.dark") }).click();
  await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
  await page.reload();
  await tab.loaded();
  await until("dark by choice", 15_000, async () => (await brightness(page)) < 60);
});

look("on a phone the navigation is in a drawer and nothing overflows", { viewport: phone }, async (tab) => {
  const { page } = tab;
  await tab.go("/");
  const orders = page.getByRole("link", { name: tab.t("nav.orders"), exact: true });
  await gone(orders);
  for (const name of [
    "nav.orders",
    "nav.board",
    "nav.sync",
    "nav.sales",
    "nav.products",
    "nav.partners",
    "nav.customers",
    "nav.suppliers",
  ]) {
    await page.getByRole("button", { name: tab.t("nav.open") }).click();
    const drawer = page.getByRole("dialog");
    await drawer.getByRole("link", { name: tab.t(name), exact: true }).click();
    await gone(drawer);
    await tab.loaded();
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.equal(overflow, 0, `${name} is wider than the screen`);
  }
});

look("a token that expires in the middle of work is renewed without a word", { expected: / 401 / }, async (tab) => {
  const { page } = tab;
  await tab.go("/orders");
  const before = await expire(page);
  const renewal = page.waitForResponse((response) => response.url().endsWith("/token/refresh"));
  await page.getByRole("link", { name: tab.t("nav.products"), exact: true }).click();
  assert.equal((await renewal).status(), 200);
  await tab.loaded();
  assert.match(page.url(), /\/products/);
  assert.equal(await page.getByRole("alert").count(), 0);
  assert.notEqual(await page.evaluate(() => JSON.stringify(localStorage)), before);
  await page.getByText(tab.t("connection.live"), { exact: true }).waitFor();
});

look(
  "a session that has ended leads to the login and back to the work",
  { as: null, expected: / 401 / },
  async (tab) => {
    const { page } = tab;
    await tab.go("/login");
    await tab.login("operator");
    await page.waitForURL(`${tab.url}/`);
    await tab.go("/orders?page=2");
    // As when an administrator ends the session: its refresh token is good no more.
    await page.evaluate(async () => {
      const key = Object.keys(localStorage).find((name) => name.startsWith("resonance.session")) ?? "";
      const { refreshToken } = JSON.parse(localStorage.getItem(key) ?? "{}");
      const headers = { "Content-Type": "application/json" };
      await fetch("/token/revoke", { method: "POST", headers, body: JSON.stringify({ refresh_token: refreshToken }) });
    });
    await expire(page);
    await page.getByRole("link", { name: tab.t("nav.customers"), exact: true }).click();
    await page.waitForURL(/\/login/);
    await page.getByText(tab.t("login.ended")).waitFor();
    await tab.login("operator");
    await page.waitForURL(/\/customers/);
    await tab.loaded();
  },
);

/** Puts an access token into the browser that expired a minute ago, and gives what was there. */
async function expire(page: Page): Promise<string> {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ role: "admin", sub: "admin", iat: now - 960, exp: now - 60 })}`;
  const expired = `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
  return page.evaluate((accessToken) => {
    const was = JSON.stringify(localStorage);
    const key = Object.keys(localStorage).find((name) => name.startsWith("resonance.session")) ?? "";
    localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key) ?? "{}"), accessToken }));
    return was;
  }, expired);
}

/** How bright the background is, from 0 to 255. */
async function brightness(page: Page): Promise<number> {
  return page.evaluate(() => {
    const layout = document.querySelector("main, .ant-layout") ?? document.body;
    const [r = 0, g = 0, b = 0] = (getComputedStyle(layout).backgroundColor.match(/\d+/g) ?? []).map(Number);
    return (r + g + b) / 3;
  });
}
