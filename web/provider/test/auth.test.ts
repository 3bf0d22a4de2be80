import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { memoryStorage, type TokenStorage } from "../src/index.ts";
import { app, appOf } from "./app.ts";
import { password } from "./product.ts";
import { Relay } from "./relay.ts";

describe("logging in and out", () => {
  it("says who is there, and what role they have", async () => {
    const { authProvider } = app();
    expect(await authProvider.check()).toEqual({ authenticated: false, redirectTo: "/login" });
    expect(await authProvider.getIdentity()).toBeNull();
    expect(await authProvider.getPermissions()).toBeNull();
    expect(await authProvider.login({ username: "operator", password })).toEqual({ success: true, redirectTo: "/" });
    expect(await authProvider.check()).toEqual({ authenticated: true });
    expect(await authProvider.getIdentity()).toEqual({ id: "operator", name: "operator", role: "operator" });
    expect(await authProvider.getPermissions()).toBe("operator");
  });

  it("says in the language what is wrong, and resolves", async () => {
    const { authProvider, client } = app({ language: "es" });
    expect(await authProvider.login({ username: "operator", password: "wrong" })).toMatchObject({
      success: false,
      error: { name: "No se pudo iniciar sesión", message: "Usuario o contraseña incorrectos", statusCode: 401 },
    });
    expect(await authProvider.login({})).toMatchObject({
      success: false,
      error: { errors: { username: expect.any(String) } },
    });
    expect(client.session.get()).toBeUndefined();
    const nobody = app({ url: "http://127.0.0.1:1" });
    expect(await nobody.authProvider.login({ username: "operator", password })).toMatchObject({
      success: false,
      error: { statusCode: 0, message: "The server cannot be reached" },
    });
  });

  it("ends the session on the server too", async () => {
    const { authProvider, client } = await appOf("viewer");
    const refresh_token = client.session.get()?.refreshToken;
    expect(await authProvider.logout({})).toEqual({ success: true, redirectTo: "/login" });
    expect(await authProvider.check()).toMatchObject({ authenticated: false });
    await expect(
      client.json("/token/refresh", { method: "POST", body: { refresh_token }, anonymous: true }),
    ).rejects.toMatchObject({
      statusCode: 401,
    });
  });

  it("logs out of a server that is away", async () => {
    const storage = memoryStorage();
    const { client } = await appOf("viewer", { storage });
    const away = app({ storage, url: client.url, fetch: () => Promise.reject(new TypeError("no network")) });
    expect(await away.authProvider.check()).toEqual({ authenticated: true });
    expect(await away.authProvider.logout({})).toMatchObject({ success: true });
    expect(client.session.get()).toBeUndefined();
  });
});

describe("onError", () => {
  it("leaves errors that are not about the session to others", async () => {
    const { authProvider, dataProvider } = await appOf("viewer");
    const forbidden = await dataProvider
      .updateMany({ resource: "orders", ids: ["rec1"], variables: { status: "Sent" } })
      .catch((e) => e);
    expect(forbidden).toMatchObject({ statusCode: 403 });
    expect(await authProvider.onError(forbidden)).toEqual({ error: forbidden });
    expect(await authProvider.onError(undefined)).toEqual({});
  });

  it("logs out only when the session is over", async () => {
    const { authProvider, client, dataProvider } = await appOf("viewer");
    expect(await authProvider.onError({ statusCode: 401, message: "stale" })).toEqual({});
    client.session.set({ ...session(client), accessToken: "bad", refreshToken: "bad" });
    const over = await dataProvider.getList({ resource: "orders" }).catch((e) => e);
    expect(over).toMatchObject({ statusCode: 401, message: "The session is over; log in again" });
    expect(await authProvider.onError(over)).toMatchObject({
      logout: true,
      redirectTo: "/login",
      error: { statusCode: 401 },
    });
    expect(client.session.get()).toBeUndefined();
  });
});

const session = (client: { session: { get(): import("../src/index.ts").Session | undefined } }) => {
  const now = client.session.get();
  if (!now) throw new Error("not logged in");
  return now;
};

describe("refreshing", () => {
  let relay: Relay;
  beforeEach(async () => {
    relay = await Relay.before(inject("product").url);
  });
  afterEach(() => relay.close());

  const read = (resonance: ReturnType<typeof app>) => resonance.dataProvider.getList({ resource: "orders" });
  const expire = (storage: TokenStorage, change: object) => {
    const key = `resonance.session:${relay.url}`;
    storage.setItem(key, JSON.stringify({ ...JSON.parse(storage.getItem(key) as string), ...change }));
  };

  it("happens once for twenty requests that get a 401, in two tabs", async () => {
    const storage = memoryStorage();
    const tabs = [await appOf("viewer", { url: relay.url, storage }), app({ url: relay.url, storage })] as const;
    expire(storage, { accessToken: "expired" });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => read(i % 2 ? tabs[0] : tabs[1])));
    expect(answers.every((a) => a.data.length === 10)).toBe(true);
    // Node has no locks between tabs: each may ask, and the server's grace window gives both the same token.
    expect(relay.count("POST /token/refresh")).toBeLessThanOrEqual(2);
    expect(relay.count("GET /api/orders")).toBeGreaterThanOrEqual(20);
    expect(await Promise.all(tabs.map((t) => t.client.token()))).toEqual(
      Array(2).fill(tabs[0].client.session.get()?.accessToken),
    );
    await read(tabs[1]);
  });

  it("happens once for all requests of a tab", async () => {
    const storage = memoryStorage();
    const resonance = await appOf("viewer", { url: relay.url, storage });
    const before = storage.getItem(`resonance.session:${relay.url}`);
    expire(storage, { accessToken: "expired" });
    await Promise.all(Array.from({ length: 20 }, () => read(resonance)));
    expect(relay.count("POST /token/refresh")).toBe(1);
    expect(storage.getItem(`resonance.session:${relay.url}`)).not.toBe(before);
  });

  it("happens once among tabs where there are locks", async () => {
    let queue = Promise.resolve();
    const request = (_: string, run: () => Promise<unknown>) => {
      const result = queue.then(run);
      queue = result.then(() => undefined);
      return result;
    };
    const navigator = Object.getOwnPropertyDescriptor(globalThis, "navigator");
    Object.defineProperty(globalThis, "navigator", { configurable: true, value: { locks: { request } } });
    try {
      const storage = memoryStorage();
      const first = await appOf("viewer", { url: relay.url, storage });
      const tabs = [first, ...Array.from({ length: 4 }, () => app({ url: relay.url, storage }))];
      expire(storage, { accessToken: "expired" });
      await Promise.all(tabs.map(read));
      expect(relay.count("POST /token/refresh")).toBe(1);
    } finally {
      if (navigator) Object.defineProperty(globalThis, "navigator", navigator);
      else Reflect.deleteProperty(globalThis, "navigator");
    }
  });

  it("repeats a request whose token was refused", async () => {
    const resonance = await appOf("viewer", { url: relay.url });
    const refused = new Set<string>();
    relay.fault = ({ url = "" }) => {
      if (!url.startsWith("/api/orders") || refused.has(url)) return undefined;
      refused.add(url);
      return 401;
    };
    await Promise.all(
      [1, 2, 3, 4].map((currentPage) =>
        resonance.dataProvider.getList({ resource: "orders", pagination: { currentPage } }),
      ),
    );
    expect(refused.size).toBe(4);
    expect(relay.count("POST /token/refresh")).toBe(1);
  });

  it("comes before the token expires", async () => {
    const storage = memoryStorage();
    const resonance = await appOf("viewer", { url: relay.url, storage });
    await read(resonance);
    expect(relay.count("POST /token/refresh")).toBe(0);
    expire(storage, { expiresAt: Date.now() + 30_000 });
    await Promise.all([read(resonance), read(resonance)]);
    expect(relay.count("POST /token/refresh")).toBe(1);
    expect(resonance.client.session.get()?.expiresAt).toBeGreaterThan(Date.now() + 800_000);
  });

  it("that fails for want of a server ends no session, and a good token is used as long as it is good", async () => {
    const storage = memoryStorage();
    const resonance = await appOf("viewer", { url: relay.url, storage });
    relay.fault = ({ url }) => (url === "/token/refresh" ? "cut" : undefined);
    expire(storage, { expiresAt: Date.now() + 30_000 });
    await read(resonance);
    expire(storage, { accessToken: "expired", expiresAt: Date.now() - 1 });
    await expect(read(resonance)).rejects.toMatchObject({ statusCode: 0 });
    expect(await resonance.authProvider.check()).toEqual({ authenticated: true });
    relay.fault = () => undefined;
    await read(resonance);
  });

  it("that was under way when the user logged out brings nobody back", async () => {
    const storage = memoryStorage();
    const resonance = await appOf("viewer", { url: relay.url, storage });
    expire(storage, { accessToken: "expired" });
    relay.fault = ({ url }) => {
      if (url === "/token/refresh") resonance.client.session.set(undefined);
      return undefined;
    };
    await expect(read(resonance)).rejects.toMatchObject({ statusCode: 401 });
    expect(resonance.client.session.get()).toBeUndefined();
    expect(relay.count("POST /token/revoke")).toBe(1); // of the new token, which nobody is to have
  });
});

it("keeps nothing in a storage that holds somebody else's value", async () => {
  const storage = memoryStorage();
  const { url } = inject("product");
  for (const value of ["null", "[]", "{", '{"accessToken":1}']) {
    storage.setItem(`resonance.session:${url}`, value);
    expect(app({ storage }).client.session.get()).toBeUndefined();
  }
});
