import { lazy } from "react";

/** Every page comes with its own chunk, when it is first gone to. */
export const Dashboard = lazy(() => import("./pages/dashboard/index.tsx"));
export const Sync = lazy(() => import("./pages/sync/index.tsx"));

export const OrderList = lazy(() => import("./pages/orders/list.tsx"));
export const OrderBoard = lazy(() => import("./pages/orders/board.tsx"));
export const OrderShow = lazy(() => import("./pages/orders/show.tsx"));

export const ProductList = lazy(() => import("./pages/products/list.tsx"));
export const ProductCreate = lazy(() => import("./pages/products/create.tsx"));
export const ProductEdit = lazy(() => import("./pages/products/edit.tsx"));
export const ProductShow = lazy(() => import("./pages/products/show.tsx"));

/** All partners, suppliers and customers: `useResourceParams().resource.name` says which. */
export const PartnerList = lazy(() => import("./pages/partners/list.tsx"));
export const PartnerCreate = lazy(() => import("./pages/partners/create.tsx"));
export const PartnerEdit = lazy(() => import("./pages/partners/edit.tsx"));
export const PartnerShow = lazy(() => import("./pages/partners/show.tsx"));

export const SaleList = lazy(() => import("./pages/sales/list.tsx"));
export const SaleCreate = lazy(() => import("./pages/sales/create.tsx"));
export const SaleEdit = lazy(() => import("./pages/sales/edit.tsx"));
export const SaleShow = lazy(() => import("./pages/sales/show.tsx"));
