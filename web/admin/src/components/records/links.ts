import { useQuery } from "@tanstack/react-query";
import { language } from "../../i18n/index.ts";
import { usePreference } from "../../preferences.ts";
import { resonance } from "../../resonance.ts";

export interface Ref {
  id: number;
  name: string;
}

const pages = 8;

/**
 * Gathers the records that a link leads to. The API lists no countries, categories or units of its own, so they are
 * found in what has them: each page leaves out what is known by then.
 */
export async function gather(page: (known: number[]) => Promise<(Ref | null)[]>): Promise<Ref[]> {
  const found = new Map<number, Ref>();
  for (let i = 0; i < pages; i++) {
    const before = found.size;
    for (const ref of await page([...found.keys()])) if (ref) found.set(ref.id, ref);
    if (found.size === before) break;
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** What a link of a resource leads to, as far as any record uses it. `where` narrows the records. */
export function useLinks(resource: string, field: string, where: Record<string, string> = {}, enabled = true) {
  const locale = usePreference(language);
  return useQuery({
    queryKey: ["links", resource, field, where, locale],
    queryFn: ({ signal }) =>
      gather(async (known) => {
        const query = new URLSearchParams({ ...where, limit: "100", [`${field}_nnull`]: "true" });
        if (known.length > 0) query.set(`${field}_nin`, known.join(","));
        const { data } = await resonance.client.json<{ data: Record<string, Ref | null>[] }>(`/api/v1/${resource}`, {
          query,
          signal,
        });
        return data.data.map((record) => record[field] ?? null);
      }),
    staleTime: 5 * 60_000,
    enabled,
  });
}

/** Reports whether Odoo has a field, which is null in every record when its module is not installed. */
export function useHas(resource: string, field: string): boolean {
  const { data = true } = useQuery({
    queryKey: ["has", resource, field],
    queryFn: async ({ signal }) => {
      const query = new URLSearchParams({ limit: "1", [`${field}_nnull`]: "true" });
      try {
        await resonance.client.json(`/api/v1/${resource}`, { query, signal });
        return true;
      } catch (error) {
        if ((error as { errors?: Record<string, unknown> }).errors?.[field]) return false;
        throw error;
      }
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  return data;
}
