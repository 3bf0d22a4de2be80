import { describe, expect, it } from "vitest";
import { app, appOf } from "./app.ts";

describe("access control", () => {
  it.each<["viewer" | "operator" | "admin" | "nobody", string, string, boolean]>([
    ["nobody", "orders", "list", false],
    ["viewer", "orders", "list", true],
    ["viewer", "orders", "show", true],
    ["viewer", "orders", "export", true],
    ["viewer", "orders", "edit", false],
    ["viewer", "sync", "run", false],
    ["viewer", "products", "create", false],
    ["viewer", "anything", "field", true],
    ["operator", "orders", "edit", true],
    ["operator", "sync", "run", true],
    ["operator", "sales", "confirm", true],
    ["operator", "customers", "delete", true],
    ["operator", "orders", "create", false],
    ["admin", "orders", "delete", false],
    ["admin", "orders", "edit", true],
  ])("%s, %s, %s: %s", async (role, resource, action, can) => {
    const { accessControlProvider } = role === "nobody" ? app() : await appOf(role);
    const answer = await accessControlProvider.can({ resource, action });
    expect(answer.can).toBe(can);
    if (!can) expect(answer.reason).toMatch(/^(You are not allowed|This can only be read)/);
  });

  it("says what the server says", async () => {
    const viewer = await appOf("viewer");
    await expect(viewer.client.request("/api/orders/sync", { method: "POST", body: {} })).rejects.toMatchObject({
      statusCode: 403,
    });
    const operator = await appOf("operator");
    expect((await operator.client.request("/api/orders/sync", { method: "POST", body: {} })).ok).toBe(true);
  });
});
