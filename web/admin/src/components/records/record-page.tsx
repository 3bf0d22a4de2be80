import { ArrowLeftOutlined } from "@ant-design/icons";
import { type BaseRecord, type HttpError, useOne } from "@refinedev/core";
import { Card, Grid } from "antd";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { Page } from "../page.tsx";
import { PageLoading } from "../states.tsx";
import { AwayState, FreshnessNotice, useFailure } from "./freshness.tsx";
import { useIntended } from "./intended.ts";
import { whileAway } from "./use-rows.ts";

/** One record of Odoo's, kept fresh. */
export function useRecord<T extends BaseRecord>(resource: string, id: string | number | undefined) {
  const { query } = useOne<T, HttpError>({
    resource,
    id: id ?? "",
    queryOptions: { enabled: id !== undefined, refetchInterval: whileAway },
    errorNotification: false,
  });
  const intended = useIntended(resource);
  return { query, record: query.data && intended(query.data.data) };
}

export function Back({ to, children }: { to: string; children: ReactNode }) {
  return (
    <Link
      to={to}
      style={{
        display: "inline-flex",
        alignItems: "center",
        gap: 6,
        marginBlockEnd: 4,
        color: "var(--ant-color-text-secondary)",
        fontSize: 13,
      }}
    >
      <ArrowLeftOutlined aria-hidden />
      <span className="short">{children}</span>
    </Link>
  );
}

/** The page of one record: the way back, its name, what can be done, and what stands there until it is read. */
export function RecordPage({
  list,
  listTitle,
  title,
  query,
  children,
  ...page
}: {
  list: string;
  listTitle: string;
  title: string | null | undefined;
  query: ReturnType<typeof useRecord>["query"];
  tags?: ReactNode;
  subtitle?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}) {
  const failure = useFailure(query);
  if (!query.data) {
    return (
      <Page title={listTitle} back={<Back to={`/${list}`}>{listTitle}</Back>}>
        {failure ? (
          <Card>
            <AwayState error={failure} onRetry={() => void query.refetch()} />
          </Card>
        ) : (
          <PageLoading />
        )}
      </Page>
    );
  }
  return (
    <Page {...page} title={title || "–"} back={<Back to={`/${list}`}>{listTitle}</Back>}>
      <FreshnessNotice query={query} />
      {children}
    </Page>
  );
}

/** A narrow column beside a wide one. Where there is little room it comes above, or beneath. */
export function Columns({ side, sideLast, children }: { side: ReactNode; sideLast?: boolean; children: ReactNode }) {
  const { lg } = Grid.useBreakpoint();
  return (
    <div
      style={{
        display: "grid",
        gridTemplateColumns: lg ? "minmax(260px, 340px) minmax(0, 1fr)" : "minmax(0, 1fr)",
        gap: 16,
        alignItems: "start",
      }}
    >
      <div style={{ display: "grid", gap: 16, minWidth: 0, ...(sideLast && !lg && { order: 1 }) }}>{side}</div>
      <div style={{ display: "grid", gap: 16, minWidth: 0 }}>{children}</div>
    </div>
  );
}

/** A card with a heading that screen readers find. */
export function Panel({
  title,
  extra,
  children,
  flush,
}: {
  title: string;
  extra?: ReactNode;
  children: ReactNode;
  flush?: boolean;
}) {
  return (
    <Card
      title={<h2 style={{ font: "inherit", margin: 0 }}>{title}</h2>}
      extra={extra}
      styles={flush ? { body: { padding: 0, overflow: "hidden" } } : {}}
    >
      {children}
    </Card>
  );
}
