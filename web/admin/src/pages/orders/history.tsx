import {
  ClockCircleOutlined,
  CloseCircleOutlined,
  DeleteOutlined,
  EditOutlined,
  PlusCircleOutlined,
} from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import type { HistoryEntry } from "@resonance/refine";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Button, Skeleton, Timeline, theme } from "antd";
import { Fragment, type ReactNode } from "react";
import { ErrorState } from "../../components/states.tsx";
import { PriorityTag, StatusTag } from "../../components/tags.tsx";
import { Ago } from "../../components/time.tsx";
import { useFormat } from "../../i18n/format.ts";
import { useLanguage } from "../../i18n/index.ts";
import { resonance } from "../../resonance.ts";
import { changedOf } from "./changes.ts";

const pageSize = 20;

interface HistoryPage {
  data: HistoryEntry[];
  total: number;
  page: number;
  pages: number;
}

/** What happened to an order, newest first. It is a part of its record to Refine, and so is read again when that changes. */
function useHistory(id: string) {
  const locale = useLanguage(); // reasons are in a language
  return useInfiniteQuery({
    queryKey: ["data", "default", "orders", "history", id, locale],
    queryFn: async ({ pageParam, signal }) => {
      const query = new URLSearchParams({ page: String(pageParam), page_size: String(pageSize) });
      const path = `/api/orders/id/${encodeURIComponent(id)}/history`;
      return (await resonance.client.json<HistoryPage>(path, { query, signal })).data;
    },
    initialPageParam: 1,
    getNextPageParam: ({ page, pages }) => (page < pages ? page + 1 : undefined),
    placeholderData: keepPreviousData,
  });
}

/** The history of an order as a timeline. */
export function History({ id }: { id: string }) {
  const t = useTranslate();
  const { data, error, isError, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useHistory(id);
  if (!data)
    return isError ? (
      <ErrorState error={error} onRetry={() => void refetch()} />
    ) : (
      <Skeleton active title={false} paragraph={{ rows: 5 }} />
    );
  // Pages move on when something happens meanwhile.
  const entries = [
    ...new Map(data.pages.flatMap((page) => page.data).map((entry) => [entry.id + entry.change, entry])).values(),
  ];
  return (
    <>
      <Timeline
        className="order-history"
        items={entries.map((entry) => ({
          key: entry.id + entry.change,
          dot: <Dot entry={entry} />,
          children: <Entry entry={entry} />,
        }))}
      />
      {hasNextPage && (
        <Button block loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          {t("orders.history.more")}
        </Button>
      )}
    </>
  );
}

function Dot({ entry: { change } }: { entry: HistoryEntry }) {
  const { token } = theme.useToken();
  const [Icon, color] =
    {
      created: [PlusCircleOutlined, token.colorSuccess] as const,
      deleted: [DeleteOutlined, token.colorError] as const,
      rejected: [CloseCircleOutlined, token.colorError] as const,
      pending: [ClockCircleOutlined, token.colorWarning] as const,
    }[change] ?? ([EditOutlined, token.colorTextTertiary] as const);
  return <Icon aria-hidden style={{ color, fontSize: 15 }} />;
}

function Entry({ entry }: { entry: HistoryEntry }) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { change, source, actor, at, reason } = entry;
  const who = actor?.name || actor?.email || (source === "api" ? actor?.id : undefined);
  // Of an order made in Airtable, this is when it was first read; its own time of creation stands beside the history.
  const imported = change === "created" && source === "airtable";
  const verb = ["created", "updated", "deleted", "pending", "rejected"].includes(change) ? change : "updated";
  const changes = changedOf(entry);
  return (
    <div style={{ display: "grid", gap: 4, paddingBlockEnd: 4 }}>
      <div>
        {t(`orders.history.${imported ? "imported" : verb}`)}
        {verb === "updated" && changes.length === 0 && ` ${t("orders.history.elsewhere")}`}
      </div>
      {changes.length > 0 && (
        <dl style={{ display: "grid", gap: 6, margin: 0 }}>
          {changes.map(({ field, before, after }) => (
            <div key={field} style={{ display: "flex", flexWrap: "wrap", alignItems: "center", gap: "2px 8px" }}>
              <dt style={{ color: token.colorTextSecondary }}>{t(`orders.fields.${field}`, undefined, field)}</dt>
              <dd
                style={{
                  display: "inline-flex",
                  flexWrap: "wrap",
                  alignItems: "center",
                  gap: 6,
                  margin: 0,
                  minWidth: 0,
                }}
              >
                {before !== undefined && (
                  <>
                    <ColumnValue field={field} value={before} />
                    <span aria-hidden style={{ color: token.colorTextTertiary }}>
                      →
                    </span>
                    <span className="only-read">{t("orders.history.to")}</span>
                  </>
                )}
                <ColumnValue field={field} value={after} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {reason && <div style={{ color: token.colorError }}>{reason}</div>}
      <div style={{ color: token.colorTextSecondary, fontSize: 13 }}>
        {[
          who && <strong style={{ fontWeight: 500 }}>{who}</strong>,
          !imported && t(`orders.history.source.${source}`, undefined, source),
          <Ago key="at" value={at} />,
        ]
          .filter(Boolean)
          .map((part, i) => (
            <Fragment key={String(i)}>
              {i > 0 && " · "}
              {part}
            </Fragment>
          ))}
      </div>
    </div>
  );
}

/** A value of a column, as the table shows it. */
function ColumnValue({ field, value }: { field: string; value: unknown }): ReactNode {
  const t = useTranslate();
  const { money, date, dateTime } = useFormat();
  if (field === "status") return <StatusTag value={value as string | null} />;
  if (field === "priority") return <PriorityTag value={value as string | null} />;
  if (value === null || value === undefined || value === "") return <em>{t("orders.history.empty")}</em>;
  if (field === "amount" && typeof value === "number") return money(value);
  if (field === "order_date") return date(String(value));
  if (field === "created_at" || field === "updated_at") return dateTime(String(value));
  return <span style={{ overflowWrap: "anywhere" }}>{String(value)}</span>;
}
