import { Grid, Typography } from "antd";
import type { ReactNode } from "react";

export interface PageProps {
  title: string;
  /** Beside the title, such as a status. */
  tags?: ReactNode;
  /** Beneath the title. */
  subtitle?: ReactNode;
  /** Before the title, such as a way back. */
  back?: ReactNode;
  /** At the end of the line: what can be done here. */
  actions?: ReactNode;
  children: ReactNode;
}

/** The frame of every page: its title, also of the tab, and what can be done. */
export function Page({ title, tags, subtitle, back, actions, children }: PageProps) {
  const { md } = Grid.useBreakpoint();
  return (
    <>
      <title>{`${title} · Resonance`}</title>
      <div
        style={{
          display: "flex",
          flexWrap: "wrap",
          alignItems: "center",
          justifyContent: "space-between",
          gap: "12px 24px",
          marginBlockEnd: md ? 20 : 16,
        }}
      >
        <div style={{ minWidth: 0 }}>
          {back}
          <div style={{ display: "flex", flexWrap: "wrap", alignItems: "center", gap: "6px 12px" }}>
            <Typography.Title
              level={1}
              className="clamp"
              title={title}
              style={{ fontSize: md ? 24 : 21, margin: 0, letterSpacing: "-0.01em" }}
            >
              {title}
            </Typography.Title>
            {tags}
          </div>
          {subtitle && <Typography.Text type="secondary">{subtitle}</Typography.Text>}
        </div>
        {actions && <div style={{ display: "flex", flexWrap: "wrap", alignItems: "center", gap: 8 }}>{actions}</div>}
      </div>
      {children}
    </>
  );
}
