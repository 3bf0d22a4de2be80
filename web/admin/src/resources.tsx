import {
  AppstoreOutlined,
  ContactsOutlined,
  DashboardOutlined,
  ProfileOutlined,
  ProjectOutlined,
  ShopOutlined,
  ShoppingOutlined,
  SyncOutlined,
  TeamOutlined,
} from "@ant-design/icons";
import type { ResourceProps } from "@refinedev/core";
import type { ReactNode } from "react";

/** A page in the navigation. `text` is the key of its name. */
export interface Destination {
  path: string;
  text: string;
  icon: ReactNode;
}

/** The navigation, by group. A group's name is a key too. */
export const navigation: { group?: string; pages: Destination[] }[] = [
  {
    pages: [
      { path: "/", text: "nav.dashboard", icon: <DashboardOutlined /> },
      { path: "/orders", text: "nav.orders", icon: <ProfileOutlined /> },
      { path: "/orders/board", text: "nav.board", icon: <ProjectOutlined /> },
      { path: "/sync", text: "nav.sync", icon: <SyncOutlined /> },
    ],
  },
  {
    group: "nav.odoo",
    pages: [
      { path: "/sales", text: "nav.sales", icon: <ShoppingOutlined /> },
      { path: "/products", text: "nav.products", icon: <AppstoreOutlined /> },
      { path: "/partners", text: "nav.partners", icon: <ContactsOutlined /> },
      { path: "/customers", text: "nav.customers", icon: <TeamOutlined /> },
      { path: "/suppliers", text: "nav.suppliers", icon: <ShopOutlined /> },
    ],
  },
];

const crud = (name: string): ResourceProps => ({
  name,
  list: `/${name}`,
  create: `/${name}/create`,
  show: `/${name}/show/:id`,
  edit: `/${name}/edit/:id`,
});

export const resources: ResourceProps[] = [
  { name: "dashboard", list: "/" },
  { name: "orders", list: "/orders", show: "/orders/show/:id" },
  { name: "orders", identifier: "orders-board", list: "/orders/board" },
  { name: "sync", list: "/sync" },
  crud("products"),
  crud("partners"),
  crud("suppliers"),
  crud("customers"),
  crud("sales"),
];
