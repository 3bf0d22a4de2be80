// @vitest-environment node
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { expect, it, vi } from "vitest";

const limit = 500 * 1024; // bytes, as browsers take them where there is no TLS: by gzip

const sizeOf = (content: string | Uint8Array) => gzipSync(content, { level: 9 }).length;

it("loads the login page and the dashboard in less than 500 KiB", async () => {
  vi.stubEnv("NODE_ENV", "production"); // vitest has set another, by which Vite would build for it
  const root = join(import.meta.dirname, "..");
  const built = (await build({
    root,
    configFile: join(root, "vite.config.ts"),
    logLevel: "error",
    mode: "production",
    build: { write: false },
  })) as Rolldown.RolldownOutput;
  const files = new Map(built.output.map((file) => [file.fileName, file]));

  const wanted = new Set<string>();
  const want = (name: string) => {
    const file = files.get(name);
    if (!file || wanted.has(name)) return;
    wanted.add(name);
    if (file.type !== "chunk") return;
    for (const more of [
      ...file.imports,
      ...(file.viteMetadata?.importedCss ?? []),
      ...(file.viteMetadata?.importedAssets ?? []),
    ])
      want(more);
  };
  for (const file of files.values()) {
    const page = file.type === "chunk" && file.facadeModuleId?.endsWith("/pages/dashboard/index.tsx");
    if (file.fileName === "index.html" || page || (file.type === "chunk" && file.isEntry)) want(file.fileName);
  }
  const weights = [...wanted].map((name) => {
    const file = files.get(name);
    return [name, sizeOf(file?.type === "chunk" ? file.code : (file?.source ?? ""))] as const;
  });
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  const listed = weights.sort(([, a], [, b]) => b - a).map(([name, weight]) => `${weight}\t${name}`);
  console.log(`${(total / 1024).toFixed(0)} KiB\n${listed.join("\n")}`);
  expect([...wanted].some((name) => name.includes("dashboard"))).toBe(true);
  expect(total, listed.join("\n")).toBeLessThan(limit);
}, 120_000);
