import { createResonance } from "@resonance/refine";
import { i18nProvider } from "./i18n/index.ts";

/** The providers, and the client for what has no resource: `resonance.client.json("/api/orders/sync")`. */
export const resonance = createResonance({ i18n: i18nProvider });
