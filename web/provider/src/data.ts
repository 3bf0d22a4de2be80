import type {
  BaseKey,
  BaseRecord,
  CreateParams,
  CustomParams,
  DataProvider,
  DeleteManyParams,
  DeleteOneParams,
  GetListParams,
  GetManyParams,
  GetOneParams,
  HttpError,
  MetaQuery,
  UpdateManyParams,
  UpdateParams,
} from "@refinedev/core";
import type { Client, RequestOptions } from "./client.ts";
import { ApiError, errorOf } from "./error.ts";
import { filterParams, sortParam } from "./query.ts";
import type { Reads } from "./reads.ts";
import type { EditResults } from "./types.ts";

/** What `meta` of a call may say. */
export interface ResonanceMeta {
  /** An ETag: the change is only made while the record has it, else 412. */
  ifMatch?: string;
  /** Made again with the same key, a change is the same change. Orders get one by themselves. */
  idempotencyKey?: string;
  /** Seconds, at most 30, to wait for Airtable to take or refuse an edit of an order. */
  wait?: number;
  /** Further parameters of the API. */
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string>;
  /** Milliseconds; 0 waits for ever. */
  timeout?: number;
  /** Of a custom call: give a blob, such as an image, as a URL; URL.revokeObjectURL frees it. */
  objectUrl?: boolean;
  /** The most rows that are read when pagination is off; 10,000. */
  maxRows?: number;
}

/** What a change of many is rejected with when some or all of it failed. */
export interface PartialError extends HttpError {
  succeeded: BaseKey[];
  failed: { id: BaseKey; error: HttpError }[];
}

const pageSize = 100; // the most the API gives at once
const chunkSize = 1000; // the most orders it changes at once
const atOnce = 4; // requests in flight for one call

/** A resource of the API. */
interface Resource {
  path: string;
  one: (id: BaseKey) => string;
  /** The parameter for the size of a page. */
  size: "page_size" | "limit";
  key: "record_id" | "id";
}

const odoo = ["products", "partners", "suppliers", "customers", "sales"];

/** The resources of the API, by the names Refine knows them under. */
export const resourceNames: readonly string[] = ["orders", ...odoo];

function resourceOf(client: Client, name: string): Resource {
  if (name === "orders") {
    return {
      path: "/api/orders",
      one: (id) => `/api/orders/id/${encodeURIComponent(id)}`,
      size: "page_size",
      key: "record_id",
    };
  }
  if (odoo.includes(name) || /^options\/[a-z]+$/.test(name)) {
    const path = `/api/v1/${name}`;
    return { path, one: (id) => `${path}/${encodeURIComponent(id)}`, size: "limit", key: "id" };
  }
  throw unsupported(client, name, "requests");
}

function unsupported(client: Client, resource: string, action: string): ApiError {
  return new ApiError(405, client.text("resonance.unsupported", { resource, action }));
}

/** Reads and changes orders and Odoo's records. Every rejection is an ApiError, or the reason of an abort. */
export function data(client: Client, reads: Reads): Required<DataProvider> {
  const list = async (resource: Resource, query: URLSearchParams, options: RequestOptions) => {
    const { data, response } = await client.json<BaseRecord[] | { data: BaseRecord[]; total: number }>(resource.path, {
      ...options,
      query,
    });
    const rows = Array.isArray(data) ? data : data.data;
    if (!Array.isArray(rows)) throw new ApiError(0, client.text("resonance.answer"));
    const total = Array.isArray(data) ? Number(response.headers.get("X-Total-Count") ?? rows.length) : data.total;
    return { data: rows.map((row) => withId(resource, row)), total, ...freshness(response) };
  };

  const all = async (resource: Resource, query: URLSearchParams, options: RequestOptions, from: number, to: number) => {
    const part = (start: number) => {
      const q = new URLSearchParams(query);
      q.set("_start", String(start));
      q.set("_end", String(Math.min(start + pageSize, to)));
      return list(resource, q, options);
    };
    const first = await part(from);
    const end = Math.min(to, first.total);
    const starts: number[] = [];
    for (let start = from + pageSize; start < end; start += pageSize) starts.push(start);
    return { ...first, parts: async () => [first, ...(await inTurn(starts, part))].flatMap((p) => p.data) };
  };

  /** Changes one record after another, a few at a time, and tells at the end what failed. */
  const each = async (ids: BaseKey[], change: (id: BaseKey) => Promise<{ data: BaseRecord }>) => {
    const results = await inTurn(ids, async (id) => {
      try {
        return { id, record: (await change(id)).data };
      } catch (error) {
        if (error instanceof ApiError) return { id, error };
        throw error;
      }
    });
    return settle(client, results);
  };

  const update = async (resource: Resource, id: BaseKey, variables: unknown, meta: MetaQuery | undefined) => {
    const { id: _, ...body } = variables as BaseRecord;
    const options = writing(meta, resource.key === "record_id");
    const send = () => client.json<BaseRecord>(resource.one(id), { ...options, method: "PATCH", body });
    const { data, response } = await (options.headers?.["Idempotency-Key"] ? repeated(send) : send());
    return { data: withId(resource, data), ...etag(response), ...(response.status === 202 ? { lagging: true } : {}) };
  };

  const provider = {
    getApiUrl: () => `${client.url}/api`,

    getList: async ({ resource: name, pagination, filters, sorters, meta }: GetListParams) => {
      const resource = resourceOf(client, name);
      const query = filterParams(client, filters, resource.key);
      const sort = sortParam(sorters, resource.key);
      if (sort) query.set("sort", sort);
      extend(query, metaOf(meta).query);
      const options = reading(meta);
      const { currentPage = 1, pageSize: size = 10, mode = "server" } = pagination ?? {};
      if (mode === "server" && size <= pageSize) {
        query.set("page", String(currentPage));
        query.set(resource.size, String(size));
        return list(resource, query, options);
      }
      const [from, to] =
        mode === "server" ? [(currentPage - 1) * size, currentPage * size] : [0, Number.MAX_SAFE_INTEGER];
      const limit = metaOf(meta).maxRows ?? 10_000;
      const { parts, ...found } = await all(resource, query, options, from, to);
      if (mode !== "server" && found.total > limit) {
        throw new ApiError(413, client.text("resonance.tooMany", { total: found.total, limit }));
      }
      return { ...found, data: once(await parts()) };
    },

    getMany: async ({ resource: name, ids, meta }: GetManyParams) => {
      const resource = resourceOf(client, name);
      const parts = await inTurn(chunks([...new Set(ids.map(String))], pageSize), (part) => {
        const query = new URLSearchParams(part.map((id) => ["id", id]));
        return list(resource, extend(query, metaOf(meta).query), reading(meta));
      });
      const found = new Map(parts.flatMap((p) => p.data).map((row) => [String(row.id), row]));
      return { data: ids.flatMap((id) => found.get(String(id)) ?? []) };
    },

    getOne: async ({ resource: name, id, meta }: GetOneParams) => {
      const resource = resourceOf(client, name);
      const { data, response } = await client.json<BaseRecord>(resource.one(id), {
        ...reading(meta),
        query: extend(new URLSearchParams(), metaOf(meta).query),
      });
      return { data: withId(resource, data), ...etag(response), ...freshness(response) };
    },

    create: async ({ resource: name, variables, meta }: CreateParams<unknown>) => {
      if (name === "orders") throw unsupported(client, name, "create");
      const resource = resourceOf(client, name);
      const { data, response } = await client.json<BaseRecord>(resource.path, {
        ...writing(meta),
        method: "POST",
        body: variables,
      });
      return { data: withId(resource, data), ...etag(response) };
    },

    createMany: async ({ resource, variables, meta }: { resource: string; variables: unknown[]; meta?: MetaQuery }) => {
      const results = await inTurn([...variables.entries()], async ([i, values]) => {
        try {
          return { id: i, record: (await provider.create({ resource, variables: values, meta })).data };
        } catch (error) {
          if (error instanceof ApiError) return { id: i, error };
          throw error;
        }
      });
      return settle(client, results);
    },

    update: ({ resource, id, variables, meta }: UpdateParams<unknown>) =>
      update(resourceOf(client, resource), id, variables, meta),

    updateMany: async ({ resource: name, ids, variables, meta }: UpdateManyParams<unknown>) => {
      const resource = resourceOf(client, name);
      if (name !== "orders") return each(ids, (id) => update(resource, id, variables, meta));
      const { id: _, ...values } = variables as BaseRecord;
      const options = writing(meta, true);
      const key = options.headers?.["Idempotency-Key"];
      const results: Result[] = [];
      let failure: ApiError | undefined; // of a request as a whole: the rest would fare no better
      for (const [i, part] of chunks([...new Set(ids)], chunkSize).entries()) {
        const headers = { ...options.headers, "Idempotency-Key": i === 0 ? key : `${key}.${i}` };
        const send = () =>
          client.json<EditResults>(resource.path, {
            ...options,
            headers,
            method: "PATCH",
            body: { ids: part, values },
          });
        failure ??= await (async () => {
          try {
            const { data } = await repeated(send);
            for (const { record_id: id, order, problem, status } of data.results) {
              if (order) results.push({ id, record: withId(resource, order) });
              else results.push({ id, error: errorOf(problem ?? {}, status, client.text("resonance.answer")) });
            }
          } catch (error) {
            if (error instanceof ApiError) return ofForm(error);
            throw error;
          }
        })();
        const error = failure;
        if (error) results.push(...part.map((id) => ({ id, error })));
      }
      return settle(client, results);
    },

    deleteOne: async ({ resource: name, id, meta }: DeleteOneParams<unknown>) => {
      if (name === "orders") throw unsupported(client, name, "delete");
      const resource = resourceOf(client, name);
      const { data } = await client.json<BaseRecord | undefined>(resource.one(id), {
        ...writing(meta),
        method: "DELETE",
      });
      return { data: data ? withId(resource, data) : { id } };
    },

    deleteMany: ({ resource, ids, meta }: DeleteManyParams<unknown>) =>
      each(ids, (id) => provider.deleteOne({ resource, id, meta } as DeleteOneParams<unknown>)),

    custom: async ({ url, method, filters, sorters, payload, query, headers, meta }: CustomParams) => {
      const [path = "", search] = pathOf(client, url).split("?", 2);
      const params = new URLSearchParams(search);
      const key = path.startsWith("/api/orders") ? "record_id" : "id";
      for (const [name, value] of filterParams(client, filters, key)) params.append(name, value);
      const sort = sortParam(sorters, key);
      if (sort) params.set("sort", sort);
      extend(params, query as ResonanceMeta["query"]);
      extend(params, metaOf(meta).query);
      const options = method === "get" || method === "head" ? reading(meta) : writing(meta);
      const response = await client.request(path, {
        ...options,
        method: method.toUpperCase(),
        query: params,
        body: payload,
        headers: { ...options.headers, ...(headers as Record<string, string> | undefined) },
      });
      const body = await bodyOf(client, response);
      const asUrl = metaOf(meta).objectUrl && body instanceof Blob;
      return { data: asUrl ? URL.createObjectURL(body) : body, ...etag(response), ...freshness(response) };
    },
  };
  const { getList, getMany, getOne, custom } = provider;
  Object.assign(provider, {
    getList: (params: GetListParams) => reads.track(params.resource, getList(params)),
    getMany: (params: GetManyParams) => reads.track(params.resource, getMany(params)),
    getOne: (params: GetOneParams) => reads.track(params.resource, getOne(params)),
    custom: (params: CustomParams) => {
      const [, resource] = /\/api\/(?:v1\/)?(\w+)/.exec(params.url) ?? [];
      const call = custom(params);
      return resource && params.method === "get" ? reads.track(resource, call) : call;
    },
  });
  // Refine types a provider's records by a parameter of each call, which only the caller can know.
  return provider as unknown as Required<DataProvider>;
}

type Result = { id: BaseKey; record: BaseRecord } | { id: BaseKey; error: ApiError };

/** Gives the records if nothing failed; else an error that names what did, and what did not. */
function settle(client: Client, results: Result[]): { data: BaseRecord[] } {
  const failed = results.flatMap((r) => ("error" in r ? [r] : []));
  const succeeded = results.flatMap((r) => ("record" in r ? [r] : []));
  const [first] = failed;
  if (!first) return { data: succeeded.map((r) => r.record) };
  const { statusCode, errors, message: reason, retryAfter, name } = first.error;
  const same = succeeded.length === 0 && failed.every((r) => r.error === first.error);
  const message = same
    ? reason
    : client.text("resonance.partial", { failed: failed.length, total: results.length, reason });
  const error = new ApiError(statusCode, message, { name, errors, retryAfter });
  throw Object.assign(error, { succeeded: succeeded.map((r) => r.id), failed });
}

/** The error of a change of many, with the fields as a form has them: `values.status` is `status`. */
function ofForm(error: ApiError): ApiError {
  if (!error.errors) return error;
  const errors = Object.fromEntries(
    Object.entries(error.errors).map(([field, text]) => [field.replace(/^values\./, ""), text]),
  );
  const { statusCode, message, name, instance } = error;
  return new ApiError(statusCode, message, { name, errors, instance, cause: error });
}

function withId(resource: Resource, record: BaseRecord): BaseRecord {
  return resource.key === "id" ? record : { id: record[resource.key], ...record };
}

function etag(response: Response): { etag?: string } {
  const tag = response.headers.get("ETag");
  return tag ? { etag: tag } : {};
}

/** How many seconds old an answer of Odoo's is; stale: Odoo is away, and it may be out of date. */
function freshness(response: Response): { age?: number; stale?: true } {
  const age = response.headers.get("Age");
  return {
    ...(age === null ? {} : { age: Number(age) }),
    ...(response.headers.get("X-Resonance-Stale") === "true" ? { stale: true } : {}),
  };
}

/** What `meta` says to this provider. Refine puts the page's own parameters into it, texts all of them. */
function metaOf(meta: MetaQuery | undefined): ResonanceMeta {
  const is = (type: string, value: unknown) => typeof value === type && value !== null;
  const known: [string, string][] = [
    ["ifMatch", "string"],
    ["idempotencyKey", "string"],
    ["wait", "number"],
    ["timeout", "number"],
    ["maxRows", "number"],
    ["query", "object"],
    ["headers", "object"],
    ["objectUrl", "boolean"],
  ];
  return Object.fromEntries(known.flatMap(([name, type]) => (is(type, meta?.[name]) ? [[name, meta?.[name]]] : [])));
}

function reading(meta: MetaQuery | undefined): RequestOptions {
  const { headers, timeout } = metaOf(meta);
  const signal = meta?.queryContext?.signal;
  return {
    ...(headers ? { headers } : {}),
    ...(timeout === undefined ? {} : { timeout }),
    ...(signal ? { signal } : {}),
  };
}

function writing(meta: MetaQuery | undefined, keyed = false): RequestOptions {
  const { ifMatch, idempotencyKey, wait, headers, timeout } = metaOf(meta);
  return {
    headers: {
      ...headers,
      "If-Match": ifMatch ?? headers?.["If-Match"],
      "Idempotency-Key": idempotencyKey ?? headers?.["Idempotency-Key"] ?? (keyed ? newKey() : undefined),
      Prefer: wait === undefined ? headers?.Prefer : `wait=${wait}`,
    },
    ...(timeout === undefined ? (wait ? { timeout: 30_000 + wait * 1000 } : {}) : { timeout }),
  };
}

function extend(query: URLSearchParams, more: ResonanceMeta["query"] = {}): URLSearchParams {
  for (const [name, value] of Object.entries(more)) {
    if (value !== undefined) query.append(name, String(value));
  }
  return query;
}

/** The path of an address of the API. Any other would be sent the user's token. */
function pathOf(client: Client, url: string): string {
  if (client.url && url.startsWith(`${client.url}/`)) return url.slice(client.url.length);
  if (url.startsWith("/") && !url.startsWith("//")) return url;
  throw new ApiError(400, client.text("resonance.unsupported", { resource: "custom", action: url }));
}

async function bodyOf(client: Client, response: Response): Promise<unknown> {
  const type = response.headers.get("Content-Type") ?? "";
  try {
    if (response.status === 204) return undefined;
    if (/\bjson\b/.test(type)) return await response.json();
    return await response.blob();
  } catch (cause) {
    throw new ApiError(0, client.text("resonance.offline"), { cause });
  }
}

/** Sends again, twice at most, what got no answer or found a service away: it has an Idempotency-Key. */
async function repeated<T>(send: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (error) {
      const passing = error instanceof ApiError && (error.statusCode === 503 || error.statusCode === 0);
      const timedOut = error instanceof ApiError && (error.cause as Error | undefined)?.name === "TimeoutError";
      if (!passing || timedOut || attempt === 3) throw error;
      const wait = Math.min(error.retryAfter ?? attempt, 5) * 1000 * (0.75 + Math.random() / 2);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

/** 128 random bits. randomUUID is not there on pages without TLS. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < items.length; i += size) parts.push(items.slice(i, i + size));
  return parts;
}

/** Pages that move while they are read may hold a row twice. */
function once(rows: BaseRecord[]): BaseRecord[] {
  return [...new Map(rows.map((row) => [row.id, row])).values()];
}

/** Maps in order, a few at a time. */
async function inTurn<T, R>(items: readonly T[], map: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array(items.length);
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: Math.min(atOnce, items.length) }, async () => {
      for (const [i, item] of queue) results[i] = await map(item);
    }),
  );
  return results;
}
