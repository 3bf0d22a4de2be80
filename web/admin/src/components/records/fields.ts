import type { Field } from "@resonance/refine";
import { useQuery } from "@tanstack/react-query";
import { resonance } from "../../resonance.ts";

/** Reports whether Odoo has a field of a resource, which depends on its modules; true until that is known. */
export function useHas(resource: string, field: string): boolean {
  const { data } = useQuery({
    queryKey: ["fields", resource],
    queryFn: ({ signal }) => resonance.client.json<Field[]>(`/api/v1/${resource}/fields`, { signal }),
    staleTime: 5 * 60_000,
    retry: false,
  });
  return data?.data.some(({ name }) => name === field) ?? true;
}
