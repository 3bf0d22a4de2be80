import { useTranslate } from "@refinedev/core";
import { Menu, type MenuProps } from "antd";
import { Link, useLocation } from "react-router";
import { navigation } from "../resources.tsx";

const paths = navigation.flatMap(({ pages }) => pages.map(({ path }) => path));

/** The page of the navigation that an address belongs to: the longest path that it begins with. */
function current(address: string): string | undefined {
  return paths
    .filter((path) => address === path || (path !== "/" && address.startsWith(`${path}/`)))
    .sort((a, b) => b.length - a.length)[0];
}

export function Navigation({ collapsed = false, onGo }: { collapsed?: boolean; onGo?: () => void }) {
  const t = useTranslate();
  const selected = current(useLocation().pathname);
  const items = navigation.flatMap(({ group, pages }): NonNullable<MenuProps["items"]> => {
    const children = pages.map(({ path, text, icon }) => ({
      key: path,
      icon,
      title: t(text),
      label: (
        <Link to={path} aria-current={path === selected ? "page" : undefined}>
          {t(text)}
        </Link>
      ),
    }));
    if (!group) return children;
    return collapsed
      ? [{ type: "divider" as const, key: group }, ...children]
      : [{ type: "group" as const, key: group, label: t(group), children }];
  });
  return (
    <nav aria-label={t("nav.label")}>
      <Menu
        mode="inline"
        inlineCollapsed={collapsed}
        selectedKeys={selected ? [selected] : []}
        items={items}
        onClick={onGo}
        style={{ border: 0 }}
      />
    </nav>
  );
}
