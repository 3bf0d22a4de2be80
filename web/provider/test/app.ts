import { inject } from "vitest";
import WebSocket from "ws";
import { createResonance, memoryStorage, type Resonance, type ResonanceOptions } from "../src/index.ts";
import { password } from "./product.ts";

/** The providers as an app makes them, for the shared product unless told otherwise. */
export function app(options: ResonanceOptions = {}): Resonance {
  return createResonance({
    url: inject("product").url,
    storage: memoryStorage(),
    language: "en",
    WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
    interval: 0,
    linger: 0,
    ...options,
  });
}

/** The same, logged in as the user named after the role. */
export async function appOf(
  username: "viewer" | "operator" | "admin",
  options: ResonanceOptions = {},
): Promise<Resonance> {
  const resonance = app(options);
  await resonance.client.login(username, password);
  return resonance;
}
