import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, it } from "vitest";

it("src/api.d.ts is what /openapi.json says; npm run generate writes it anew", () => {
  const dir = mkdtempSync(join(tmpdir(), "resonance-api-"));
  try {
    execFileSync("npm", ["run", "-s", "generate"], {
      cwd: join(import.meta.dirname, ".."),
      env: { ...process.env, RESONANCE_URL: inject("product").url, OUTPUT: join(dir, "api.d.ts") },
    });
    const now = readFileSync(join(dir, "api.d.ts"), "utf8");
    expect(readFileSync(join(import.meta.dirname, "../src/api.d.ts"), "utf8")).toBe(now);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
