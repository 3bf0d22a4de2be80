import type { AccessControlProvider, CanParams } from "@refinedev/core";
import type { Client } from "./client.ts";
import type { Role } from "./types.ts";

const roles: readonly Role[] = ["viewer", "operator", "admin"];

/** Reports whether `role` may do what needs `needed`. */
export function includes(role: Role | undefined, needed: Role): boolean {
  return role !== undefined && roles.indexOf(role) >= roles.indexOf(needed);
}

const reading = new Set(["list", "show", "get", "read", "export", "history", "summary", "field", "image"]);

/** What there is no API for: orders begin and end in Airtable, and nothing is copied. */
const absent: Record<string, ReadonlySet<string>> = {
  orders: new Set(["create", "clone", "delete"]),
};

/** The role an action needs; undefined when nobody can do it. */
export function neededRole({ resource, action }: Pick<CanParams, "resource" | "action">): Role | undefined {
  if (resource !== undefined && absent[resource]?.has(action)) return undefined;
  return reading.has(action) ? "viewer" : "operator";
}

/** Says by the role of the session what the user may do. The server decides again, always. */
export function accessControl(client: Client): AccessControlProvider {
  return {
    can: async (question) => {
      const needed = neededRole(question);
      if (needed === undefined) return { can: false, reason: client.text("resonance.readOnly") };
      if (includes(client.session.get()?.role, needed)) return { can: true };
      return { can: false, reason: client.text("resonance.forbidden") };
    },
  };
}
