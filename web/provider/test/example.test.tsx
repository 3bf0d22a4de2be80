// @vitest-environment jsdom
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createRoot } from "react-dom/client";
import { expect, inject, it, vi } from "vitest";
import { password, sandbox, until } from "./product.ts";

/** What the example logs in with. */
let given = password;

/** The example is for a product at its usual place, with a password of its own. */
vi.mock("@resonance/refine", async () => {
  const real = await import("../src/index.ts");
  return {
    ...real,
    createResonance: (options: object) => {
      const resonance = real.createResonance({ ...options, url: inject("product").url });
      const { login } = resonance.authProvider;
      resonance.authProvider.login = (params) => login({ ...params, password: given });
      return resonance;
    },
  };
});

it("is the one in the README", () => {
  const read = (path: string) => readFileSync(join(import.meta.dirname, "..", path), "utf8");
  expect(read("README.md")).toContain(read("example/app.tsx"));
});

it("shows orders, and a change in Airtable without being told to look", async () => {
  const { App, resonance } = await import("../example/app.tsx");
  const page = document.body.appendChild(document.createElement("div"));
  const root = createRoot(page);
  root.render(<App />);
  await until(() => page.querySelectorAll("p").length === 10);
  await until(() => resonance.liveProvider.state === "open");
  const [first] = (await resonance.dataProvider.getList({ resource: "orders" })).data;
  const name = `Renamed ${Math.random()}`;
  await sandbox(inject("product").airtable, "POST", "records", {
    update: [{ ids: [first?.id], fields: { Order: name } }],
  });
  await until(() => page.textContent?.includes(name));
  root.unmount();
});

it("says so when the password is wrong", async () => {
  given = "wrong";
  vi.resetModules();
  const { App } = await import("../example/app.tsx");
  const page = document.body.appendChild(document.createElement("div"));
  const root = createRoot(page);
  root.render(<App />);
  expect((await until(() => page.querySelector("[role=alert]")))?.textContent).toMatch(/password/i);
  root.unmount();
});
