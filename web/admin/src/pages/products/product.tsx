import { AppstoreOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import type { Product } from "@resonance/refine";
import { Picture } from "../../components/records/picture.tsx";
import { Chip } from "../../components/tags.tsx";
import { useFormat } from "../../i18n/format.ts";

/** The last part of `All / Field`. */
export const shortCategory = (name: string | null | undefined): string => name?.split(" / ").at(-1) ?? "";

/** Odoo 17 and before call goods with stock a type of their own. */
export const typeKey = (type: string): string => `products.types.${type}`;

export type Stock = "untracked" | "out" | "low" | "fine";

/** How a product's stock stands; untracked without the stock module too. */
export function stockOf({ qty_available: qty, low_stock: low }: Pick<Product, "qty_available" | "low_stock">): Stock {
  if (low === null || qty === null) return "untracked";
  if (qty <= 0) return "out";
  return low ? "low" : "fine";
}

/** Marks what is low or out; says nothing of the rest. */
export function StockTag({ product }: { product: Product }) {
  const t = useTranslate();
  const stock = stockOf(product);
  if (stock === "out")
    return (
      <Chip tone="red" dot>
        {t("products.out")}
      </Chip>
    );
  if (stock === "low")
    return (
      <Chip tone="amber" dot>
        {t("products.low")}
      </Chip>
    );
  return null;
}

export function StockText({ product }: { product: Product }) {
  const { number } = useFormat();
  if (stockOf(product) === "untracked") return <span style={{ color: "var(--ant-color-text-tertiary)" }}>–</span>;
  return (
    <>
      {number(product.qty_available)}{" "}
      <small style={{ color: "var(--ant-color-text-secondary)" }}>{product.uom?.name}</small>
    </>
  );
}

export function ProductPicture({
  product,
  size,
  detail,
}: {
  product: Product;
  size: number | "fill";
  detail?: number;
}) {
  return (
    <Picture
      resource="products"
      record={product}
      size={size}
      detail={detail ?? 128}
      otherwise={<AppstoreOutlined style={{ fontSize: size === "fill" ? 32 : Math.max(16, size / 3), opacity: 0.5 }} />}
    />
  );
}
