import { expect, it, vi } from "vitest";
import { persistently, type Version } from "../src/chunks.ts";

/** Loads a chunk that fails as often as there are `versions`, which the server says one after the other. */
function load(...versions: Version[]) {
  const reload = vi.fn();
  const asked = [...versions];
  const chunk = async () => {
    if (asked.length > 0) throw new Error("failed to fetch");
    return "page";
  };
  const surroundings = { version: async () => asked.shift() ?? "same", reload, wait: async () => undefined };
  return { result: persistently(chunk, surroundings), reload };
}

it("loads a chunk again until the server is back, without a reload", async () => {
  const { result, reload } = load(...Array<Version>(20).fill("unavailable"), "same");
  expect(await result).toBe("page");
  expect(reload).not.toHaveBeenCalled();
});

it("reloads when the server has another version", async () => {
  const { reload } = load("unavailable", "other");
  await vi.waitFor(() => expect(reload).toHaveBeenCalledTimes(1));
});

it("gives up a chunk that the server does not give though its version is this one", async () => {
  const { result, reload } = load("same", "same", "same");
  await expect(result).rejects.toThrow("failed to fetch");
  expect(reload).not.toHaveBeenCalled();
});
