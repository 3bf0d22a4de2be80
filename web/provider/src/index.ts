import type { AccessControlProvider, DataProvider, I18nProvider } from "@refinedev/core";
import { accessControl } from "./access.ts";
import { auth } from "./auth.ts";
import { Client, type ClientOptions } from "./client.ts";
import { data } from "./data.ts";
import { i18n } from "./i18n.ts";

export { accessControl, includes, neededRole, type Role } from "./access.ts";
export type { Identity } from "./auth.ts";
export { Client, type ClientOptions, type RequestOptions } from "./client.ts";
export { type PartialError, type ResonanceMeta, resourceNames } from "./data.ts";
export { ApiError, type Problem, retry } from "./error.ts";
export type { Language, TextKey, Translate } from "./language.ts";
export { filterParams, sortParam } from "./query.ts";
export { memoryStorage, type Session, type TokenStorage } from "./session.ts";

export interface ResonanceOptions extends ClientOptions {
  /** The app's i18n provider, if it has one: its locale is then the API's language too. */
  i18n?: I18nProvider;
}

/** Everything a Refine app needs, around one client. */
export interface Resonance {
  client: Client;
  dataProvider: Required<DataProvider>;
  authProvider: ReturnType<typeof auth>;
  accessControlProvider: AccessControlProvider;
  i18nProvider: I18nProvider;
}

/** Makes the providers of a Refine app for the API at `url`. */
export function createResonance(options: ResonanceOptions = {}): Resonance {
  const { i18n: app } = options;
  const client = new Client({
    ...options,
    ...(app
      ? {
          language: options.language ?? (() => app.getLocale()),
          translate: options.translate ?? ((key, values, message) => app.translate(key, values, message)),
        }
      : {}),
  });
  return {
    client,
    dataProvider: data(client),
    authProvider: auth(client),
    accessControlProvider: accessControl(client),
    i18nProvider: i18n(client, app),
  };
}
