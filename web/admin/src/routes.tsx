import { page } from "./chunks.ts";

/** Every page has its own chunk. */
export const Dashboard = page(() => import("./pages/dashboard/index.tsx"));
export const Sync = page(() => import("./pages/sync/index.tsx"));

export const OrderList = page(() => import("./pages/orders/list.tsx"));
export const OrderBoard = page(() => import("./pages/orders/board.tsx"));
export const OrderShow = page(() => import("./pages/orders/show.tsx"));

export const ProductList = page(() => import("./pages/products/list.tsx"));
export const ProductCreate = page(() => import("./pages/products/create.tsx"));
export const ProductEdit = page(() => import("./pages/products/edit.tsx"));
export const ProductShow = page(() => import("./pages/products/show.tsx"));

/** All partners, suppliers and customers: `useResourceParams().resource.name` says which. */
export const PartnerList = page(() => import("./pages/partners/list.tsx"));
export const PartnerCreate = page(() => import("./pages/partners/create.tsx"));
export const PartnerEdit = page(() => import("./pages/partners/edit.tsx"));
export const PartnerShow = page(() => import("./pages/partners/show.tsx"));

export const SaleList = page(() => import("./pages/sales/list.tsx"));
export const SaleCreate = page(() => import("./pages/sales/create.tsx"));
export const SaleEdit = page(() => import("./pages/sales/edit.tsx"));
export const SaleShow = page(() => import("./pages/sales/show.tsx"));
