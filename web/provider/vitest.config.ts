import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    alias: { "@resonance/refine": new URL("src/index.ts", import.meta.url).pathname },
    globalSetup: "test/setup.ts",
    fileParallelism: false, // each file may start a product of its own
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
