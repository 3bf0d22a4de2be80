import type { ReactNode } from "react";

export function Quiet({ children }: { children: ReactNode }) {
  return <span style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>{children}</span>;
}
