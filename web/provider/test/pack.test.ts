import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const provider = join(import.meta.dirname, "..");
const installed = join(provider, "../node_modules");
const dir = mkdtempSync(join(tmpdir(), "resonance-pack-"));
const app = join(dir, "app");
const own = join(app, "node_modules/@resonance/refine");

const limit = 150 * 1024; // bytes of the package, unpacked

/** An app that knows nothing of this repository: what it imports has to be there, and not be `any`. */
const source = `
import { Refine } from "@refinedev/core";
import { createResonance, type Order, type Product, type SyncState } from "@resonance/refine";

type Known<T> = 0 extends 1 & T ? never : T;
const resonance = createResonance({ url: "http://localhost:8000" });
export const amount = (order: Known<Order>): number | null => order.amount;
export const name = (product: Known<Product>): string => product.name;
export const mode = (state: Known<SyncState>): string => state.mode;
// @ts-expect-error: a name is text
export const wrong = (order: Order): number => order.name;
export const app = <Refine {...resonance} />;
`;

beforeAll(() => {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: provider, stdio: "pipe" });
  const tarball = readdirSync(dir).find((file) => file.endsWith(".tgz")) ?? "";
  mkdirSync(own, { recursive: true });
  execFileSync("tar", ["-xzf", join(dir, tarball), "-C", own, "--strip-components=1"]);
  for (const name of ["@refinedev", "@tanstack", "@types", "react", "react-dom"]) {
    symlinkSync(join(installed, name), join(app, "node_modules", name));
  }
  writeFileSync(join(app, "package.json"), '{"type": "module"}');
  writeFileSync(join(app, "app.tsx"), source);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("the package", () => {
  it("has what a registry asks for", () => {
    const { license, repository, publishConfig, exports } = JSON.parse(readFileSync(join(own, "package.json"), "utf8"));
    expect({ license, type: repository.type, access: publishConfig.access }).toEqual({
      license: "MIT",
      type: "git",
      access: "public",
    });
    expect(readdirSync(own).sort()).toEqual(["LICENSE", "README.md", "dist", "package.json"]);
    expect(readFileSync(join(own, "LICENSE"), "utf8")).toBe(readFileSync(join(provider, "../../LICENSE"), "utf8"));
    for (const path of Object.values<string>(exports["."])) expect(statSync(join(own, path)).isFile()).toBe(true);
  });

  it("is small", () => {
    const files = readdirSync(own, { recursive: true, encoding: "utf8" }).map((file) => statSync(join(own, file)));
    expect(files.filter((file) => file.isFile()).reduce((sum, { size }) => sum + size, 0)).toBeLessThan(limit);
  });

  it.each(["bundler", "nodenext"])("type-checks in an app of its own, %s", (resolution) => {
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--jsx", "react-jsx", "--target", "es2022"];
    const modules = ["--module", resolution === "bundler" ? "esnext" : "nodenext", "--moduleResolution", resolution];
    const run = () =>
      execFileSync(join(installed, ".bin/tsc"), [...options, ...modules, "app.tsx"], { cwd: app, stdio: "pipe" });
    try {
      run();
    } catch (error) {
      throw new Error(String((error as { stdout: Buffer }).stdout));
    }
  });

  it("runs", () => {
    const script =
      'import { createResonance } from "@resonance/refine"; console.log(Object.keys(createResonance()).sort().join())';
    const output = execFileSync("node", ["--input-type=module", "-e", script], { cwd: app, encoding: "utf8" });
    expect(output).toContain("dataProvider");
  });
});
