import { theme } from "antd";
import type { ReactNode } from "react";

/** Names and values in two columns. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl style={{ display: "grid", gap: 8, margin: 0 }}>{children}</dl>;
}

/** A name and its value, with a word of explanation beneath if it needs one. */
export function Fact({ name, note, children }: { name: string; note?: ReactNode; children: ReactNode }) {
  const { token } = theme.useToken();
  return (
    <div style={{ display: "flex", justifyContent: "space-between", gap: 16 }}>
      <dt style={{ color: token.colorTextSecondary, flexShrink: 0 }}>{name}</dt>
      <dd style={{ margin: 0, textAlign: "end", minWidth: 0 }}>
        {children}
        {note && <div style={{ color: token.colorTextSecondary, fontSize: 12.5, maxWidth: 260 }}>{note}</div>}
      </dd>
    </div>
  );
}
