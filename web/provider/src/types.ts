import type { components } from "./api.d.ts";

type Schemas = components["schemas"];

/** An order, as the data provider gives it. */
export type Order = Schemas["Order"] & { id: string };
/** An edit of an order, and what became of it. */
export type Edit = Schemas["Edit"];
/** An entry of /api/orders/{id}/history. */
export type HistoryEntry = Schemas["HistoryEntry"];
/** The answer of /api/orders/summary. */
export type OrdersSummary = Schemas["Summary"];

export type OrderColumn = Schemas["Column"];
/** The answer of GET /api/orders/sync. */
export type SyncState = Schemas["SyncState"];
/** A run of the sync. */
export type SyncRun = Schemas["Run"];
/** Of Odoo; so are those that follow. */
export type Product = Schemas["Product"];
/** A supplier or a customer. */
export type Partner = Schemas["Partner"];
export type Sale = Schemas["Sale"];
export type SaleLine = Schemas["SaleLine"];
/** The answer of /api/v1/sales/summary. */
export type SalesSummary = Schemas["SalesSummary"];
/** A row of /api/v1/options/{list}: what a link can be set to. */
export type Option = Schemas["LinkOption"];
/** A row of /api/v1/{resource}/fields. */
export type Field = Schemas["FieldInfo"];
/** What a user may do; each role includes the ones before it. */
export type Role = Schemas["Tokens"]["role"];
export type Tokens = Schemas["Tokens"];
export type Problem = Partial<Schemas["Problem"]>;
export type EditResults = Schemas["EditResults"];

/** A run as it is told while it goes on: its reasons are in somebody's language, and are asked for. */
export type SyncRunEvent = Omit<SyncRun, "reason" | "mode_reason">;

/** How the sync stands, as it is told while it goes on. */
export type SyncEvent = Pick<SyncState, "state" | "mode" | "orders"> & { current?: SyncRunEvent; last?: SyncRunEvent };

/** A message of GET /ws and GET /api/events. */
export type Message = Omit<Schemas["Message"], "sync"> & { sync?: SyncEvent };
