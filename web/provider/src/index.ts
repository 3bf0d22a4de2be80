import type { AccessControlProvider, DataProvider, I18nProvider } from "@refinedev/core";
import { accessControl } from "./access.ts";
import { auth } from "./auth.ts";
import { Client, type ClientOptions } from "./client.ts";
import { data } from "./data.ts";
import { i18n } from "./i18n.ts";
import { type Live, LiveConnection, type LiveOptions } from "./live.ts";
import { Reads } from "./reads.ts";

export { accessControl, includes, neededRole } from "./access.ts";
export type { Identity } from "./auth.ts";
export { Client, type ClientOptions, type RequestOptions } from "./client.ts";
export { type OrderColumnName, orderColumns } from "./columns.ts";
export { type PartialError, type ResonanceMeta, resourceNames } from "./data.ts";
export { ApiError, retry } from "./error.ts";
export type { Language, TextKey, Translate } from "./language.ts";
export type { EditEvent, Live, LiveOptions, LiveState } from "./live.ts";
export { filterParams, sortParam } from "./query.ts";
export { memoryStorage, type Session, type TokenStorage } from "./session.ts";

export type {
  Edit,
  Field,
  HistoryEntry,
  Option,
  Order,
  OrderColumn,
  OrdersSummary,
  Partner,
  Problem,
  Product,
  Role,
  Sale,
  SaleLine,
  SalesSummary,
  SyncEvent,
  SyncRun,
  SyncRunEvent,
  SyncState,
} from "./types.ts";

export interface ResonanceOptions extends ClientOptions, LiveOptions {
  /** The app's i18n provider, if it has one: its locale is then the API's language too. */
  i18n?: I18nProvider;
}

/** Everything a Refine app needs, around one client. */
export interface Resonance {
  client: Client;
  dataProvider: Required<DataProvider>;
  authProvider: ReturnType<typeof auth>;
  liveProvider: Live;
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
  const reads = new Reads();
  return {
    client,
    dataProvider: data(client, reads),
    authProvider: auth(client),
    liveProvider: new LiveConnection(client, reads, options),
    accessControlProvider: accessControl(client),
    i18nProvider: i18n(client, app),
  };
}
