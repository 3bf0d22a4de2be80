import { theme } from "antd";
import type { ReactNode } from "react";

/** Names above their values, in as many columns as there is room for. What is null or empty is left out. */
export function Details({ items, width = 170 }: { items: [name: string, value: ReactNode][]; width?: number }) {
  const { token } = theme.useToken();
  return (
    <dl
      style={{
        display: "grid",
        gridTemplateColumns: `repeat(auto-fill, minmax(min(100%, ${width}px), 1fr))`,
        gap: "16px 24px",
        margin: 0,
      }}
    >
      {items
        .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
        .map(([name, value]) => (
          <div key={name} style={{ minWidth: 0 }}>
            <dt style={{ color: token.colorTextSecondary, fontSize: 13 }}>{name}</dt>
            <dd style={{ margin: 0, overflowWrap: "anywhere", whiteSpace: "pre-line" }}>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
