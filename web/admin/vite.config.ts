import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Where `npm run dev` finds a running Resonance. */
const gateway = process.env.RESONANCE_URL ?? "http://127.0.0.1:8000";

/** Puts compressed forms beside what gets smaller by it, for the gateway to send as they are. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    writeBundle: ({ dir = "." }, bundle) => {
      for (const file of Object.keys(bundle)) {
        if (!/\.(html|js|css|svg|json)$/.test(file)) continue;
        const path = join(dir, file);
        const content = readFileSync(path);
        for (const [extension, form] of [
          [".br", brotliCompressSync(content)],
          [".gz", gzipSync(content, { level: 9 })],
        ] as const) {
          if (form.length < content.length) writeFileSync(path + extension, form);
        }
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), compressed()],
  resolve: {
    alias: {
      "@resonance/refine": here("../provider/src/index.ts"),
    },
  },
  build: {
    outDir: here("../../services/gateway/internal/admin/dist"),
    emptyOutDir: true,
    cssCodeSplit: false, // a chunk can then be loaded again: Vite gives up a style sheet that failed once
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
  server: {
    proxy: {
      ...Object.fromEntries(["/api", "/token", "/docs", "/openapi.json", "/healthz"].map((path) => [path, gateway])),
      "/ws": { target: gateway, ws: true },
    },
  },
  test: { environment: "jsdom", setupFiles: ["./test/setup.ts"] },
});
