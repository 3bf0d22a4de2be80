import { ShopOutlined, UserOutlined } from "@ant-design/icons";
import { useResourceParams } from "@refinedev/core";
import type { Partner } from "@resonance/refine";
import { Picture } from "../../components/records/picture.tsx";

const kinds = ["partners", "customers", "suppliers"] as const;
export type Kind = (typeof kinds)[number];

/** Which of them the page is of. */
export function useKind(): Kind {
  const name = useResourceParams().resource?.name;
  return kinds.find((kind) => kind === name) ?? "partners";
}

/** `Málaga (ES)` is how Odoo names a province; the country stands beside it anyway. */
export const shortState = (name: string | null | undefined): string => name?.replace(/ \([A-Z]{2}\)$/, "") ?? "";

/** An address as it is written on a letter, line by line. What is not there leaves nothing behind. */
export function addressLines(
  partner: Pick<Partner, "street" | "street2" | "zip" | "city" | "state" | "country">,
): string[] {
  const { street, street2, zip, city, state, country } = partner;
  const province = shortState(state?.name);
  const town = [zip, city].filter(Boolean).join(" ");
  const place =
    province && province !== city ? [town, town ? `(${province})` : province].filter(Boolean).join(" ") : town;
  return [street, street2, place, country?.name].filter((line): line is string => Boolean(line));
}

/** An address of a website that is safe to follow; undefined when it is none. */
export function webAddress(website: string | null): string | undefined {
  if (!website) return undefined;
  const address = /^[a-z]+:/i.test(website) ? website : `https://${website}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  return url && /^https?:$/.test(url.protocol) ? url.href : undefined;
}

export function PartnerPicture({ partner, kind, size }: { partner: Partner; kind: Kind; size: number }) {
  const Icon = partner.is_company ? ShopOutlined : UserOutlined;
  return (
    <Picture
      resource={kind}
      record={partner}
      size={size}
      round={!partner.is_company}
      otherwise={<Icon style={{ fontSize: size * 0.45, opacity: 0.6 }} />}
    />
  );
}
