// @vitest-environment jsdom
import { beforeEach, expect, inject, it } from "vitest";
import { createResonance } from "../src/index.ts";
import { password, until } from "./product.ts";

const tab = () => createResonance({ url: inject("product").url, language: "en" });

/** What a browser does in all other tabs. */
const elsewhere = () =>
  window.dispatchEvent(new StorageEvent("storage", { key: `resonance.session:${inject("product").url}` }));

beforeEach(() => localStorage.clear());

it("whoever logs in or out in one tab does so in all", async () => {
  const [one, two] = [tab(), tab()];
  const end = two.liveProvider.onState(() => undefined);
  expect(await two.authProvider.check()).toMatchObject({ authenticated: false });
  await one.client.login("viewer", password);
  elsewhere();
  expect(await two.authProvider.check()).toEqual({ authenticated: true });
  expect((await two.dataProvider.getList({ resource: "orders" })).data).toHaveLength(10);
  await until(() => two.liveProvider.state === "open");
  await one.authProvider.logout({});
  elsewhere();
  expect(two.liveProvider.state).toBe("idle");
  await expect(two.dataProvider.getList({ resource: "orders" })).rejects.toMatchObject({ statusCode: 401 });
  end();
});

it("a tab that was offline comes back at once", async () => {
  const { client, liveProvider } = tab();
  await client.login("viewer", password);
  const states: string[] = [];
  const end = liveProvider.onState((state) => states.push(state));
  await until(() => liveProvider.state === "open");
  window.dispatchEvent(new Event("offline"));
  await until(() => liveProvider.state === "waiting");
  window.dispatchEvent(new Event("online"));
  await until(() => liveProvider.state === "open", 5000);
  expect(states).toEqual(["connecting", "open", "waiting", "connecting", "open"]);
  end();
});
