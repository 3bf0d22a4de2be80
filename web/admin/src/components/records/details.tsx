import { theme } from "antd";
import type { ReactNode } from "react";

/** Names above their values, in as many columns of at least `width` px as there is room for. */
export function Details({ width = 170, children }: { width?: number; children: ReactNode }) {
  return (
    <dl
      style={{
        display: "grid",
        gridTemplateColumns: `repeat(auto-fill, minmax(min(100%, ${width}px), 1fr))`,
        gap: "16px 24px",
        margin: 0,
      }}
    >
      {children}
    </dl>
  );
}

/** A name and its value; nothing at all where there is no value. */
export function Detail({ name, children }: { name: string; children: ReactNode }) {
  const { token } = theme.useToken();
  if (children === null || children === undefined || children === "" || children === false) return null;
  return (
    <div style={{ minWidth: 0 }}>
      <dt style={{ color: token.colorTextSecondary, fontSize: 13 }}>{name}</dt>
      <dd style={{ margin: 0, overflowWrap: "anywhere", whiteSpace: "pre-line" }}>{children}</dd>
    </div>
  );
}
