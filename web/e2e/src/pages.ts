import type { Product } from "./product.ts";

/** A page of the admin by a name for it, with records that exist. */
export async function pages(product: Product): Promise<Record<string, string>> {
  const first = async (path: string) => {
    const { data } = await product.api<{ data: { id?: number; record_id?: string }[] }>(path);
    return data[0]?.record_id ?? data[0]?.id;
  };
  const [order, product_, supplier, customer, sale, draft] = await Promise.all([
    first("/api/orders?page_size=1"),
    first("/api/v1/products?limit=1"),
    first("/api/v1/suppliers?limit=1"),
    first("/api/v1/customers?limit=1"),
    first("/api/v1/sales?limit=1&state=sale"),
    first("/api/v1/sales?limit=1&state=draft"),
  ]);
  return {
    dashboard: "/",
    orders: "/orders",
    board: "/orders/board",
    order: `/orders/show/${order}`,
    sync: "/sync",
    sales: "/sales",
    sale: `/sales/show/${sale}`,
    "sale-edit": `/sales/edit/${draft}`,
    "sale-create": "/sales/create",
    products: "/products",
    product: `/products/show/${product_}`,
    "product-edit": `/products/edit/${product_}`,
    "product-create": "/products/create",
    suppliers: "/suppliers",
    supplier: `/suppliers/show/${supplier}`,
    "supplier-edit": `/suppliers/edit/${supplier}`,
    "supplier-create": "/suppliers/create",
    customers: "/customers",
    customer: `/customers/show/${customer}`,
    "customer-edit": `/customers/edit/${customer}`,
    "customer-create": "/customers/create",
    unknown: "/sync/nothing-here",
  };
}
