import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core";
import { Product, password } from "./product.ts";
import { type Language, text } from "./texts.ts";

export const desktop = { width: 1440, height: 900 };
export const phone = { width: 390, height: 844 };

export interface Visit {
  /** Who is logged in; nobody if null; "admin" if not given. */
  as?: "admin" | "operator" | "viewer" | null;
  language?: Language;
  theme?: "light" | "dark";
  viewport?: { width: number; height: number };
  /** Errors in the console that belong to what is tested. */
  expected?: RegExp;
}

/** A page of the admin that somebody looks at. */
export class Tab {
  readonly page: Page;
  readonly url: string;
  readonly language: Language;
  /** What no page may ever do: errors in the console, exceptions, requests to another host. */
  readonly complaints: string[] = [];

  constructor(page: Page, url: string, language: Language, expected?: RegExp) {
    this.page = page;
    this.url = url;
    this.language = language;
    page.setDefaultTimeout(30_000);
    page.on("pageerror", (error) => this.complaints.push(`exception: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      const line = `${message.text()} (${message.location().url})`;
      if (!expected?.test(line)) this.complaints.push(`console: ${line}`);
    });
    const own = new URL(url).host;
    const check = (address: string) => {
      const { host, protocol } = new URL(address);
      if (host !== own && protocol !== "data:" && protocol !== "blob:") this.complaints.push(`request: ${address}`);
    };
    page.on("request", (request) => check(request.url()));
    page.on("websocket", (socket) => check(socket.url()));
  }

  /** A text of the admin, as this page shows it. */
  t(key: string, values?: Record<string, string | number>): string {
    return text(this.language, key, values);
  }

  /** Goes to an address of the admin and waits until its page is there, with its data. */
  async go(path: string): Promise<void> {
    await this.page.goto(this.url + path);
    await this.loaded();
  }

  /** Waits until the page has a title and nothing that is still on its way. */
  async loaded(): Promise<void> {
    await this.page.getByRole("heading", { level: 1 }).first().waitFor();
    await gone(this.page.locator(".ant-skeleton-active, .ant-spin-spinning"));
  }

  async login(username: string, secret = password): Promise<void> {
    await this.page.getByLabel(this.t("login.username")).fill(username);
    await this.page.getByLabel(this.t("login.password"), { exact: true }).fill(secret);
    await this.page.getByRole("button", { name: this.t("login.submit") }).click();
  }

  /** What axe finds serious or critical here, in words. */
  async accessibility(): Promise<string[]> {
    await this.page.evaluate(axe.source);
    const { violations } = await this.page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) => nodes.map(({ target, html }) => `${id}: ${target.join(" ")} ${html.slice(0, 160)}`));
  }
}

declare global {
  interface Window {
    axe: typeof axe;
  }
}

/** The browser of one file of tests, and the product that they look at. */
export class Visitors {
  readonly product: Product;
  readonly #browser: Browser;
  /** Logged in once for each user; what a browser keeps of it is given to every test. */
  readonly #sessions = new Map<string, Awaited<ReturnType<BrowserContext["storageState"]>>>();

  private constructor(product: Product, browser: Browser) {
    this.product = product;
    this.#browser = browser;
  }

  static async with(product: Product): Promise<Visitors> {
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    return new Visitors(product, await chromium.launch({ executablePath, args: ["--no-sandbox"] }));
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }

  /** Opens a browser of its own for `visit`, with nothing in it but who is logged in. */
  async open(visit: Visit = {}): Promise<Tab> {
    const { as = "admin", language = "en", theme = "light", viewport = desktop } = visit;
    if (as && !this.#sessions.has(as)) this.#sessions.set(as, await this.#login(as));
    const context = await this.#browser.newContext({
      viewport,
      colorScheme: theme,
      locale: { es: "es-ES", en: "en-GB", pt: "pt-PT" }[language],
      timezoneId: "Europe/Madrid",
      reducedMotion: "reduce",
      hasTouch: viewport === phone,
      ...(as ? { storageState: this.#sessions.get(as) } : {}),
    });
    return new Tab(await context.newPage(), this.product.url, language, visit.expected);
  }

  async #login(username: string) {
    const tab = await this.open({ as: null });
    await tab.go("/login");
    await tab.login(username);
    await tab.page.waitForURL(`${tab.url}/`);
    const state = await tab.page.context().storageState();
    await tab.page.context().close();
    return state;
  }
}

/** Starts the product, with `env`, and a browser for the tests of a file, and ends both after them. */
export function onProduct(env: NodeJS.ProcessEnv = {}) {
  let product: Product | undefined;
  let visitors: Visitors | undefined;
  before(async () => {
    product = await Product.start(env);
    visitors = await Visitors.with(product);
  });
  after(async () => {
    await visitors?.close();
    await product?.remove();
  });
  const there = (): Visitors => {
    assert.ok(visitors, "the product did not start");
    return visitors;
  };
  return {
    get product(): Product {
      return there().product;
    },
    get visitors(): Visitors {
      return there();
    },
    look: (name: string, visit: Visit, look: (tab: Tab) => Promise<void>) => browse(there, name, visit, look),
  };
}

/**
 * A test in a browser of its own. It fails too if the page complained of anything, and leaves a picture
 * of what was there when it failed.
 */
function browse(visitors: () => Visitors, name: string, visit: Visit, look: (tab: Tab) => Promise<void>): void {
  test(name, { timeout: 180_000 }, async () => {
    const tab = await visitors().open(visit);
    try {
      await look(tab);
      assert.deepEqual(tab.complaints, []);
    } catch (error) {
      const folder = join(tmpdir(), "resonance-e2e-failures");
      mkdirSync(folder, { recursive: true });
      const path = join(folder, `${name.replace(/\W+/g, "-")}.png`);
      await tab.page.screenshot({ path }).catch(() => undefined);
      console.error(`${name}: ${tab.page.url()}, seen in ${path}`, ...tab.complaints);
      throw error;
    } finally {
      await tab.page.context().close();
    }
  });
}

/** Waits until nothing of it is there. */
export async function gone(locator: Locator): Promise<void> {
  await locator.filter({ visible: true }).first().waitFor({ state: "hidden" });
}
