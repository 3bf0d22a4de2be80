import { ArrowDownOutlined, ArrowUpOutlined, CalendarOutlined, CheckCircleOutlined } from "@ant-design/icons";
import { useCustom, useList, useSubscription, useTranslate } from "@refinedev/core";
import type { Order, OrdersSummary, SyncRun } from "@resonance/refine";
import { keepPreviousData } from "@tanstack/react-query";
import { Button, Card, Progress, Segmented, Skeleton, Space, Typography, theme } from "antd";
import dayjs from "dayjs";
import { lazy, type ReactNode, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { Fact, Facts } from "../../components/facts.tsx";
import { Page } from "../../components/page.tsx";
import { Empty, ErrorState } from "../../components/states.tsx";
import {
  Chip,
  PriorityTag,
  priorities,
  priorityTone,
  StatusTag,
  statuses,
  statusTone,
  useOrderTexts,
} from "../../components/tags.tsx";
import { Ago, useNow } from "../../components/time.tsx";
import { useFormat } from "../../i18n/format.ts";
import { useDark } from "../../preferences.ts";
import { useSync } from "../../sync.ts";
import { type ToneName, toneOf } from "../../theme.ts";
import { Chart, type Metric } from "./chart.tsx";
import { binsOf, lastDays, lengthOf, type Period, param, parse, preceding, stepOf, trend } from "./period.ts";

const RangePicker = lazy(() => import("./range.tsx"));

const presets = [7, 30, 90, 365];
const usual = 30; // days
const calm = 2_000; // ms between two readings of the totals while orders change

export default function Dashboard() {
  const t = useTranslate();
  const [period, choose] = usePeriod();
  const earlier = useMemo(() => preceding(period), [period]);
  const now = useSummary(period);
  const then = useSummary(earlier);
  const fetched = now.query.isError ? now : then.query.isError ? then : undefined;

  return (
    <Page title={t("dashboard.title")} actions={<Range period={period} choose={choose} />}>
      {fetched ? (
        <Card>
          <ErrorState error={fetched.query.error} onRetry={() => void fetched.query.refetch()} />
        </Card>
      ) : (
        <div style={{ display: "grid", gap: 16, gridTemplateColumns: "minmax(0, 1fr)" }}>
          <Tiles now={now.data} then={then.data} />
          <Flow period={period} earlier={earlier} now={now.data} then={then.data} />
          <Columns min={300}>
            <Shares
              title={t("dashboard.byStatus")}
              field="status"
              period={period}
              rows={now.data?.by_status.map(({ status, ...row }) => ({ value: status, ...row }))}
            />
            <Shares
              title={t("dashboard.byPriority")}
              field="priority"
              period={period}
              rows={now.data?.by_priority.map(({ priority, ...row }) => ({ value: priority, ...row }))}
            />
          </Columns>
          <Columns min={340}>
            <Waiting />
            <SyncCard />
          </Columns>
        </div>
      )}
    </Page>
  );
}

/** The period, which is in the address, so that it can be sent to somebody. */
function usePeriod(): [Period, (period: Period) => void] {
  const [params, setParams] = useSearchParams();
  const [from, to, days] = [params.get("from"), params.get("to"), Number(params.get("days"))];
  const today = param(dayjs(useNow()));
  const period = useMemo(
    () => parse(from, to) ?? lastDays(presets.includes(days) ? days : usual, dayjs(today)),
    [from, to, days, today],
  );
  const choose = useCallback(
    (chosen: Period) => {
      const length = lengthOf(chosen);
      const preset = presets.includes(length) && param(chosen.to) === param(dayjs());
      setParams(preset ? { days: String(length) } : { from: param(chosen.from), to: param(chosen.to) }, {
        replace: true,
      });
    },
    [setParams],
  );
  return [period, choose];
}

/** The totals of a period, read again while orders change. */
function useSummary(period: Period | undefined) {
  const filter = period && { start_date: param(period.from), end_date: param(period.to) };
  const { query } = useCustom<OrdersSummary>({
    url: "/api/orders/summary",
    method: "get",
    config: { query: filter },
    errorNotification: false,
    queryOptions: { queryKey: ["orders", "summary", filter], placeholderData: keepPreviousData },
  });
  const { refetch } = query;
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  useSubscription({
    channel: "resources/orders",
    types: ["*"],
    onLiveEvent: () => {
      timer.current ??= setTimeout(() => {
        timer.current = undefined;
        void refetch();
      }, calm);
    },
  });
  return { data: query.data?.data, query };
}

function Range({ period, choose }: { period: Period; choose: (period: Period) => void }) {
  const t = useTranslate();
  const { date } = useFormat();
  const [open, setOpen] = useState(false);
  const length = lengthOf(period);
  const preset = presets.includes(length) && param(period.to) === param(dayjs()) ? length : undefined;
  const button = (loading: boolean) => (
    <Button icon={<CalendarOutlined />} loading={loading} onClick={() => setOpen(true)}>
      <span className="only-read">{t("dashboard.range.label")}: </span>
      {date(param(period.from), period.from.isSame(period.to, "year") ? dayAndMonth : undefined)} –{" "}
      {date(param(period.to))}
    </Button>
  );
  return (
    <>
      <Segmented<number>
        aria-label={t("dashboard.range.label")}
        value={preset ?? 0}
        onChange={(days) => choose(lastDays(days))}
        options={presets.map((value) => ({ value, label: t(`dashboard.range.days_${value}`) }))}
      />
      {open ? (
        <Suspense fallback={button(true)}>
          <RangePicker period={period} choose={choose} onClose={() => setOpen(false)} />
        </Suspense>
      ) : (
        button(false)
      )}
    </>
  );
}

function Columns({ min, children }: { min: number; children: ReactNode }) {
  return (
    <div
      style={{ display: "grid", gap: 16, gridTemplateColumns: `repeat(auto-fit, minmax(min(100%, ${min}px), 1fr))` }}
    >
      {children}
    </div>
  );
}

function Tiles({ now, then }: { now?: OrdersSummary; then?: OrdersSummary }) {
  const t = useTranslate();
  const { number, money } = useFormat();
  const open = useOpen();
  const mean = (of: OrdersSummary | undefined) => of && (of.total > 0 ? of.amount / of.total : 0);
  return (
    <div style={{ display: "grid", gap: 16, gridTemplateColumns: "repeat(auto-fit, minmax(min(100%, 150px), 1fr))" }}>
      <Tile name={t("dashboard.orders")} value={now?.total} before={then?.total} write={number} />
      <Tile name={t("dashboard.amount")} value={now?.amount} before={then?.amount} write={money} />
      <Tile name={t("dashboard.average")} value={mean(now)} before={mean(then)} write={money} />
      <Tile name={t("dashboard.open")} value={open} note={t("dashboard.openNote")} write={number} />
    </div>
  );
}

interface TileProps {
  name: string;
  value?: number;
  /** Of the period before. */
  before?: number;
  note?: string;
  write: (value: number) => string;
}

function Tile({ name, value, before, note, write }: TileProps) {
  const { token } = theme.useToken();
  return (
    <Card styles={{ body: { padding: "16px min(20px, 4vw)" } }}>
      <div style={{ color: token.colorTextSecondary }}>{name}</div>
      {value === undefined ? (
        <Skeleton
          active
          title={{ width: "60%", style: { height: 28, margin: "6px 0" } }}
          paragraph={{ rows: 1, width: "80%" }}
        />
      ) : (
        <>
          <div style={{ containerType: "inline-size" }}>
            <div
              style={{
                fontSize: "clamp(16px, 14cqi, 27px)",
                fontWeight: 650,
                letterSpacing: "-0.02em",
                lineHeight: 1.45,
              }}
            >
              {write(value)}
            </div>
          </div>
          {note ? (
            <div style={{ color: token.colorTextSecondary, fontSize: 13 }}>{note}</div>
          ) : (
            <Trend now={value} then={before} write={write} />
          )}
        </>
      )}
    </Card>
  );
}

function Trend({ now, then, write }: { now: number; then?: number; write: (value: number) => string }) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { percent } = useFormat();
  if (then === undefined) return <Skeleton.Button active size="small" style={{ height: 18 }} />;
  const change = trend(now, then);
  const quiet = { color: token.colorTextSecondary, fontSize: 13 };
  if (change === undefined) return <div style={quiet}>{t("dashboard.trendNone")}</div>;
  const size = Math.abs(change);
  const text = size > 9.99 ? `> ${percent(9.99)}` : percent(size, size < 0.1 ? 1 : 0);
  const sign = change > 0 ? "+" : change < 0 ? "−" : "";
  return (
    <div style={quiet}>
      <span
        aria-hidden
        style={{ fontWeight: 600, color: change < 0 ? token.colorError : token.colorSuccess, marginInlineEnd: 8 }}
      >
        {change < 0 ? <ArrowDownOutlined /> : <ArrowUpOutlined />} {text}
      </span>
      <span className="only-read">{t("dashboard.trend", { change: sign + text })} </span>
      {t("dashboard.before", { value: write(then) })}
    </div>
  );
}

const dayAndMonth = { day: "numeric", month: "short" } as const;

const unsent = ["Pending", "Processing"];

/** How many orders are not sent yet, whenever they were made. */
function useOpen(): number | undefined {
  const { data } = useSummary(undefined);
  return data?.by_status
    .filter(({ status }) => unsent.includes(status ?? ""))
    .reduce((sum, { count }) => sum + count, 0);
}

function Flow({
  period,
  earlier,
  now,
  then,
}: {
  period: Period;
  earlier: Period;
  now?: OrdersSummary;
  then?: OrdersSummary;
}) {
  const t = useTranslate();
  const { number, money, date } = useFormat();
  const [metric, setMetric] = useState<Metric>("amount");
  const step = stepOf(period);
  const bins = useMemo(() => binsOf(period, now?.by_day ?? [], step), [period, now, step]);
  const past = useMemo(() => binsOf(earlier, then?.by_day ?? [], step), [earlier, then, step]);
  const write = (of: OrdersSummary) => (metric === "amount" ? money(of.amount) : number(of.total));
  const name = t(metric === "amount" ? "dashboard.amount" : "dashboard.orders");
  return (
    <Card
      title={t(step === "day" ? "dashboard.chart.title" : `dashboard.chart.${step}`)}
      extra={
        <Segmented<Metric>
          aria-label={t("dashboard.chart.metric")}
          value={metric}
          onChange={setMetric}
          options={[
            { value: "amount", label: t("dashboard.amount") },
            { value: "count", label: t("dashboard.orders") },
          ]}
        />
      }
    >
      {!now || !then ? (
        <Skeleton active paragraph={{ rows: 6 }} />
      ) : now.total === 0 && then.total === 0 ? (
        <Empty title={t("dashboard.empty")} />
      ) : (
        <>
          <Chart
            bins={bins}
            earlier={past}
            metric={metric}
            step={step}
            summary={t("dashboard.chart.summary", {
              metric: name,
              from: date(param(period.from)),
              to: date(param(period.to)),
              total: write(now),
              before: write(then),
            })}
          />
          <Legend />
        </>
      )}
    </Card>
  );
}

function Legend() {
  const t = useTranslate();
  const { token } = theme.useToken();
  const item = { display: "inline-flex", alignItems: "center", gap: 8 };
  return (
    <div
      style={{
        display: "flex",
        flexWrap: "wrap",
        gap: "4px 20px",
        marginBlockStart: 8,
        fontSize: 13,
        color: token.colorTextSecondary,
      }}
    >
      <span style={item}>
        <span style={{ width: 12, height: 12, borderRadius: 3, background: token.colorPrimary }} />
        {t("dashboard.chart.now")}
      </span>
      <span style={item}>
        <span style={{ width: 18, borderBlockStart: `2px dashed ${token.colorWarning}` }} />
        {t("dashboard.chart.previous")}
      </span>
    </div>
  );
}

interface Share {
  value: string | null;
  count: number;
  amount: number;
}

/** The address of the orders that have a value, in the period. */
function ordersWith(field: string, value: string, { from, to }: Period): string {
  return `/orders?${new URLSearchParams({ [field]: value, start_date: param(from), end_date: param(to) })}`;
}

function Shares({
  title,
  field,
  rows,
  period,
}: {
  title: string;
  field: "status" | "priority";
  rows?: Share[];
  period: Period;
}) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { number, compact, percent } = useFormat();
  const texts = useOrderTexts();
  const isDark = useDark();
  const known: readonly string[] = field === "status" ? statuses : priorities;
  const place = (value: string | null) =>
    value === null ? known.length + 1 : (known.indexOf(value) + known.length + 1) % (known.length + 1);
  const sorted = [...(rows ?? [])].sort((a, b) => place(a.value) - place(b.value));
  const total = sorted.reduce((sum, { count }) => sum + count, 0);
  const most = Math.max(1, ...sorted.map(({ count }) => count));
  const toneFor: (value: string | null) => ToneName = field === "status" ? statusTone : priorityTone;
  return (
    <Card title={title}>
      {!rows ? (
        <Skeleton active title={false} paragraph={{ rows: 5, width: "100%" }} />
      ) : total === 0 ? (
        <Empty title={t("dashboard.empty")} />
      ) : (
        <ul style={{ listStyle: "none", margin: 0, padding: 0, display: "grid", gap: 14 }}>
          {sorted.map(({ value, count, amount }) => (
            <li key={value ?? ""}>
              <div style={{ display: "flex", justifyContent: "space-between", gap: 12 }}>
                {value === null ? (
                  <span>{texts[field](null)}</span>
                ) : (
                  <Link to={ordersWith(field, value, period)} style={{ color: token.colorText }}>
                    {texts[field](value)}
                  </Link>
                )}
                <span style={{ color: token.colorTextSecondary }}>
                  <strong style={{ color: token.colorText }}>{number(count)}</strong>
                  {` · ${percent(count / total)} · ${compact(amount)}`}
                </span>
              </div>
              <div style={{ height: 6, marginBlockStart: 6, borderRadius: 3, background: token.colorFillSecondary }}>
                <div
                  style={{
                    width: `${(count / most) * 100}%`,
                    minWidth: 3,
                    height: "100%",
                    borderRadius: 3,
                    background: toneOf(toneFor(value), isDark).solid,
                    transition: "width 0.4s",
                  }}
                />
              </div>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Waiting() {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { date } = useFormat();
  const now = useNow();
  const { query, result } = useList<Order>({
    resource: "orders",
    filters: [
      { field: "status", operator: "in", value: unsent },
      { field: "order_date", operator: "nnull", value: true },
    ],
    sorters: [{ field: "order_date", order: "asc" }],
    pagination: { currentPage: 1, pageSize: 6 },
    errorNotification: false,
  });
  return (
    <Card
      title={t("dashboard.waiting.title")}
      extra={<Link to="/orders/board">{t("nav.board")}</Link>}
      styles={{ body: { paddingBlock: 8 } }}
    >
      {query.isError ? (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      ) : query.isPending ? (
        <Skeleton active title={false} paragraph={{ rows: 6, width: "100%" }} />
      ) : result.data.length === 0 ? (
        <Empty
          icon={<CheckCircleOutlined />}
          title={t("dashboard.waiting.none")}
          text={t("dashboard.waiting.noneText")}
        />
      ) : (
        <ul style={{ listStyle: "none", margin: 0, padding: 0 }}>
          {result.data.map((order, i) => {
            const days = Math.max(0, dayjs(now).startOf("day").diff(dayjs(order.order_date), "day"));
            return (
              <li
                key={order.id}
                style={{
                  display: "flex",
                  flexWrap: "wrap",
                  alignItems: "center",
                  justifyContent: "space-between",
                  gap: "4px 12px",
                  paddingBlock: 9,
                  borderBlockStart: i > 0 ? `1px solid ${token.colorBorderSecondary}` : undefined,
                }}
              >
                <div style={{ minWidth: 0, flex: "1 1 120px" }}>
                  <Link to={`/orders/show/${order.id}`} style={{ fontWeight: 500, whiteSpace: "nowrap" }}>
                    {order.name ?? t("dashboard.waiting.unnamed")}
                  </Link>
                  <Typography.Text type="secondary" ellipsis style={{ display: "block", fontSize: 13 }}>
                    {order.customer ?? "–"}
                  </Typography.Text>
                </div>
                <div
                  style={{
                    display: "flex",
                    flexWrap: "wrap",
                    justifyContent: "end",
                    alignItems: "center",
                    gap: "4px 8px",
                  }}
                >
                  {order.priority === "High" && <PriorityTag value={order.priority} />}
                  <StatusTag value={order.status} />
                  <span title={date(order.order_date)} style={{ minWidth: 64, textAlign: "end" }}>
                    {t("dashboard.waiting.days", { count: days })}
                  </span>
                </div>
              </li>
            );
          })}
        </ul>
      )}
    </Card>
  );
}

function SyncCard() {
  const t = useTranslate();
  const { number, ago } = useFormat();
  const now = useNow();
  const { state, query } = useSync();
  const { current, last, budget, next_run_at: next } = state ?? {};
  const chip = !state ? undefined : state.state === "running" ? (
    <Chip tone="blue" dot>
      {t("dashboard.sync.running")}
    </Chip>
  ) : state.held_deletions ? (
    <Chip tone="amber" dot>
      {t("dashboard.sync.held")}
    </Chip>
  ) : last?.state === "failed" ? (
    <Chip tone="red" dot>
      {t("dashboard.sync.failed")}
    </Chip>
  ) : (
    <Chip tone="green" dot>
      {t("dashboard.sync.good")}
    </Chip>
  );
  return (
    <Card title={t("dashboard.sync.title")} extra={<Link to="/sync">{t("dashboard.sync.open")}</Link>}>
      {state ? (
        <Space direction="vertical" size={14} style={{ width: "100%" }}>
          {chip}
          {current && (
            <Progress
              aria-label={t("dashboard.sync.running")}
              percent={Math.floor(current.progress.percent)}
              status="active"
            />
          )}
          <Facts>
            <Fact name={t("dashboard.sync.last")}>
              {last?.state === "succeeded" ? <Ago value={last.finished_at ?? last.started_at} /> : "–"}
            </Fact>
            <Fact name={t("dashboard.sync.next")}>
              {next ? ago(next, Math.min(now, Date.parse(next))) : t("dashboard.sync.none")}
            </Fact>
            <Fact name={t("dashboard.sync.edits")}>{number(state.edits?.pending ?? 0)}</Fact>
            {budget && (
              <Fact name={t("dashboard.sync.budget")} note={budget.warning}>
                {budget.limit ? `${number(budget.calls)} / ${number(budget.limit)}` : number(budget.calls)}
              </Fact>
            )}
          </Facts>
          <Recent runs={state.recent ?? []} />
        </Space>
      ) : query.isError ? (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      ) : (
        <Skeleton active title={false} paragraph={{ rows: 5, width: "100%" }} />
      )}
    </Card>
  );
}

const runTones = { succeeded: "green", failed: "red", running: "blue" } as const;

/** The last runs of the sync, in a line each. */
function Recent({ runs }: { runs: SyncRun[] }) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { number } = useFormat();
  const isDark = useDark();
  return (
    <ul style={{ listStyle: "none", margin: 0, padding: 0 }} aria-label={t("dashboard.sync.recent")}>
      {runs.slice(0, 4).map((run) => (
        <li
          key={run.id}
          style={{
            display: "flex",
            justifyContent: "space-between",
            gap: 12,
            paddingBlock: 8,
            borderBlockStart: `1px solid ${token.colorBorderSecondary}`,
          }}
        >
          <span style={{ display: "inline-flex", alignItems: "baseline", gap: 8 }}>
            <span
              aria-hidden
              style={{
                width: 7,
                height: 7,
                borderRadius: 4,
                flexShrink: 0,
                background: toneOf(runTones[run.state], isDark).solid,
              }}
            />
            <span>
              {run.state === "failed"
                ? t("dashboard.sync.failedRun")
                : t("dashboard.sync.changes", {
                    count: run.created + run.updated + run.deleted,
                    number: number(run.created + run.updated + run.deleted),
                  })}
            </span>
          </span>
          <span style={{ color: token.colorTextSecondary, whiteSpace: "nowrap" }}>
            <Ago value={run.started_at} />
          </span>
        </li>
      ))}
    </ul>
  );
}
