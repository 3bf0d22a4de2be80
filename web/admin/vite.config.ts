import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Where `npm run dev` finds a running Resonance. */
const gateway = process.env.RESONANCE_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "@resonance/refine": here("../provider/src/index.ts") } },
  build: {
    outDir: here("../../services/gateway/internal/admin/dist"),
    emptyOutDir: true,
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
