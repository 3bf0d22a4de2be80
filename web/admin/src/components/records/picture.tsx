import { useQuery } from "@tanstack/react-query";
import { theme } from "antd";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { resonance } from "../../resonance.ts";

interface Props {
  resource: "products" | "partners" | "customers" | "suppliers";
  record: { id: number; has_image: boolean | null; updated_at: string };
  /** Pixels on the screen; "fill" takes what there is. */
  size: number | "fill";
  /** Pixels of the picture: 128, 256, 512, 1024 or 1920. */
  detail?: number;
  /** In its place, when there is none. */
  otherwise: ReactNode;
  round?: boolean;
}

/** A picture of a record's, read with the token once it comes into view, and kept for a while. */
export function Picture({ resource, record, size, detail = 128, otherwise, round }: Props) {
  const { token } = theme.useToken();
  const { ref, seen } = useSeen();
  const { id, has_image, updated_at } = record;
  const { data: blob } = useQuery({
    queryKey: ["picture", resource, id, detail, updated_at],
    queryFn: async ({ signal }) => {
      const query = new URLSearchParams({ size: String(detail) });
      return (await resonance.client.request(`/api/v1/${resource}/${id}/image`, { query, signal })).blob();
    },
    enabled: seen && has_image !== false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 10 * 60_000,
    retry: false,
  });
  const url = useObjectUrl(blob?.type.startsWith("image/") ? blob : undefined);
  const fill = size === "fill";
  return (
    <span
      ref={ref}
      aria-hidden
      style={{
        display: "grid",
        placeItems: "center",
        flex: "none",
        width: fill ? "100%" : size,
        aspectRatio: "1",
        overflow: "hidden",
        borderRadius: round ? "50%" : fill ? 0 : token.borderRadius,
        background: token.colorFillQuaternary,
        color: token.colorTextTertiary,
      }}
    >
      {url ? <img src={url} alt="" style={{ width: "100%", height: "100%", objectFit: "cover" }} /> : otherwise}
    </span>
  );
}

/** Whether the element has come near the window. */
function useSeen() {
  const ref = useRef<HTMLSpanElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (!ref.current || seen) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && setSeen(true), {
      rootMargin: "200px",
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [seen]);
  return { ref, seen };
}

function useObjectUrl(blob: Blob | undefined): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (!blob) return setUrl(undefined);
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}
