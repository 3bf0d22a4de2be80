import { MenuOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import { useIsFetching } from "@tanstack/react-query";
import { Layout as AntLayout, Button, Drawer, Grid, theme } from "antd";
import { type ReactNode, useEffect, useState } from "react";
import { Link, useLocation } from "react-router";
import { prefetch } from "../chunks.ts";
import { ErrorBoundary } from "../components/error-boundary.tsx";
import logo from "../logo.svg";
import { Account } from "./account.tsx";
import { LanguageChoice, ThemeChoice } from "./choices.tsx";
import { ConnectionBanner, ConnectionState } from "./connection.tsx";
import { Navigation } from "./navigation.tsx";
import { Search } from "./search.tsx";

const width = 228;
const narrow = 76; // px, with icons only
const quiet = 2_000; // ms without a request before the other pages are prefetched

/** Loads the code of the other pages once this one has what it needs, so that they open without the server too. */
function usePrefetch(): void {
  const idle = useIsFetching() === 0;
  const { saveData } = (navigator as { connection?: { saveData?: boolean } }).connection ?? {};
  useEffect(() => {
    if (!idle || saveData) return;
    const timer = setTimeout(() => void prefetch(), quiet);
    return () => clearTimeout(timer);
  }, [idle, saveData]);
}

/** The frame around every page but the login: navigation at the side, or in a drawer on a phone. */
export function Layout({ children }: { children: ReactNode }) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { xl, lg, sm } = Grid.useBreakpoint();
  const { pathname } = useLocation();
  const [open, setOpen] = useState(false);
  usePrefetch();

  return (
    <AntLayout hasSider style={{ minHeight: "100dvh" }}>
      <a className="skip" href="#content" style={{ background: token.colorPrimary, color: token.colorTextLightSolid }}>
        {t("nav.skip")}
      </a>
      {lg && (
        <AntLayout.Sider
          width={xl ? width : narrow}
          style={{
            position: "sticky",
            top: 0,
            height: "100dvh",
            overflow: "auto",
            borderInlineEnd: `1px solid ${token.colorBorderSecondary}`,
          }}
        >
          <Brand short={!xl} />
          <Navigation collapsed={!xl} />
        </AntLayout.Sider>
      )}
      <AntLayout>
        <AntLayout.Header
          style={{
            position: "sticky",
            top: 0,
            zIndex: 20,
            display: "flex",
            alignItems: "center",
            gap: 4,
            paddingInline: lg ? 24 : 12,
            borderBlockEnd: `1px solid ${token.colorBorderSecondary}`,
          }}
        >
          {!lg && (
            <>
              <Button type="text" icon={<MenuOutlined />} aria-label={t("nav.open")} onClick={() => setOpen(true)} />
              <Drawer
                open={open}
                onClose={() => setOpen(false)}
                placement="left"
                width={264}
                title={<Brand flush />}
                styles={{ body: { padding: "8px 0" } }}
              >
                <Navigation onGo={() => setOpen(false)} />
              </Drawer>
            </>
          )}
          <Search short={!sm} />
          <div style={{ flex: 1 }} />
          <div style={{ paddingInline: 8, lineHeight: 1 }}>
            <ConnectionState short={!sm} />
          </div>
          <LanguageChoice />
          <ThemeChoice />
          <Account short={!sm} />
        </AntLayout.Header>
        <ConnectionBanner />
        <AntLayout.Content
          id="content"
          tabIndex={-1}
          style={{
            padding: lg ? "24px 32px 48px" : "16px 12px 40px",
            width: "100%",
            maxWidth: 1560,
            marginInline: "auto",
            outline: "none",
          }}
        >
          <ErrorBoundary key={pathname}>{children}</ErrorBoundary>
        </AntLayout.Content>
      </AntLayout>
    </AntLayout>
  );
}

function Brand({ flush = false, short = false }: { flush?: boolean; short?: boolean }) {
  const { token } = theme.useToken();
  return (
    <Link
      to="/"
      style={{
        display: "flex",
        alignItems: "center",
        gap: 10,
        height: flush ? undefined : 60,
        paddingInline: flush ? 0 : 20,
        color: token.colorText,
        fontWeight: 650,
        fontSize: 16,
        letterSpacing: "-0.01em",
      }}
    >
      <img src={logo} alt="" width={28} height={28} />
      <span className={short ? "only-read" : undefined}>Resonance</span>
    </Link>
  );
}
