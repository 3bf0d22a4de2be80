import type { AuthProvider } from "@refinedev/core";
import type { Client } from "./client.ts";
import { ApiError } from "./error.ts";
import type { Role } from "./types.ts";

/** Who is logged in. */
export interface Identity {
  id: string;
  name: string;
  role: Role;
}

const login = "/login";

/** Logs in and out. None of its methods ever rejects, as Refine wants it. */
export function auth(client: Client): AuthProvider & Required<Pick<AuthProvider, "getPermissions" | "getIdentity">> {
  return {
    login: async (params: { username?: string; email?: string; password?: string; redirectTo?: string }) => {
      try {
        await client.login(params.username ?? params.email ?? "", params.password ?? "");
        return { success: true, redirectTo: params.redirectTo ?? "/" };
      } catch (error) {
        return { success: false, error: named(error, client.text("resonance.loginFailed")) };
      }
    },
    logout: async (params?: { redirectTo?: string }) => {
      await client.logout();
      return { success: true, redirectTo: params?.redirectTo ?? login };
    },
    check: async () => {
      try {
        if (await client.token()) return { authenticated: true };
        return { authenticated: false, redirectTo: login };
      } catch {
        return { authenticated: true }; // the server is away: no reason to send anybody to a login that fails too
      }
    },
    onError: async (error: Partial<ApiError> | undefined) => {
      if (error?.statusCode !== 401) return error instanceof Error ? { error } : {};
      try {
        if (client.session.get()) {
          await client.request("/api/me"); // renews the token if that helps
          return {};
        }
      } catch (now) {
        if ((now as Partial<ApiError>).statusCode !== 401) return {}; // not the session's fault
      }
      return { logout: true, redirectTo: login, error: named(error, client.text("resonance.signedOut")) };
    },
    getPermissions: async () => client.session.get()?.role ?? null,
    getIdentity: async (): Promise<Identity | null> => {
      const session = client.session.get();
      if (!session) return null;
      try {
        const { data } = await client.json<{ username: string; role: Role }>("/api/me");
        return { id: data.username, name: data.username, role: data.role };
      } catch {
        const name = session.username ?? "";
        return client.session.get() ? { id: name, name, role: session.role } : null;
      }
    },
  };
}

/** The error with a name that a notification can show as its title. */
function named(error: unknown, name: string): ApiError {
  const { statusCode = 0, message = name, errors, retryAfter } = (error ?? {}) as Partial<ApiError>;
  return new ApiError(statusCode, message, { name, errors, retryAfter, cause: error });
}
