import { DownOutlined, SyncOutlined } from "@ant-design/icons";
import { useCan, useCustomMutation, useTranslate } from "@refinedev/core";
import type { SyncRun, SyncState } from "@resonance/refine";
import { Alert, App, Button, Card, Dropdown, Grid, Popconfirm, Progress, Skeleton, Space, Table, Tooltip } from "antd";
import type { ReactNode } from "react";
import { Fact, Facts } from "../../components/facts.tsx";
import { Page } from "../../components/page.tsx";
import { Empty, ErrorState } from "../../components/states.tsx";
import { Chip } from "../../components/tags.tsx";
import { Ago, useNow } from "../../components/time.tsx";
import { useFormat } from "../../i18n/format.ts";
import { useSync } from "../../sync.ts";
import "./texts.ts";

type Mode = "auto" | "incremental" | "full";

/** Asks for a run, which goes on by itself. */
function useRun() {
  const t = useTranslate();
  const { message } = App.useApp();
  const { mutate, mutation } = useCustomMutation();
  const run = (mode: Mode, confirmDeletions = false) =>
    mutate(
      {
        url: "/api/orders/sync",
        method: "post",
        values: { mode, confirm_deletions: confirmDeletions },
        config: { headers: { Prefer: "respond-async" } },
        successNotification: false,
        errorNotification: (error) => ({ type: "error", message: error?.message ?? t("states.error") }),
      },
      { onSuccess: () => void message.success(t("sync.started")) },
    );
  return { run, asking: mutation.isPending };
}

export default function Sync() {
  const t = useTranslate();
  const { state, query } = useSync();
  const { run, asking } = useRun();
  const { data: may } = useCan({ resource: "sync", action: "run" });
  const running = state?.state === "running";

  return (
    <Page
      title={t("sync.title")}
      tags={state && <StateChip state={state} />}
      actions={
        <Tooltip title={may && !may.can ? may.reason : undefined}>
          <Space.Compact>
            <Button
              type="primary"
              icon={<SyncOutlined spin={running} />}
              disabled={!may?.can || running}
              loading={asking}
              onClick={() => run("auto")}
            >
              {t("sync.now")}
            </Button>
            <Dropdown
              trigger={["click"]}
              disabled={!may?.can || running}
              placement="bottomRight"
              menu={{
                items: (["auto", "incremental", "full"] as const).map((key) => ({
                  key,
                  label: t(`sync.runMode.${key}`),
                })),
                onClick: ({ key }) => run(key as Mode),
              }}
            >
              <Button type="primary" icon={<DownOutlined />} aria-label={t("sync.choose")} />
            </Dropdown>
          </Space.Compact>
        </Tooltip>
      }
    >
      {state ? (
        <div style={{ display: "grid", gap: 16, gridTemplateColumns: "minmax(0, 1fr)" }}>
          <Warnings state={state} confirm={() => run("full", true)} mayConfirm={may?.can ?? false} />
          {state.current && <Current run={state.current} />}
          <div
            style={{ display: "grid", gap: 16, gridTemplateColumns: "repeat(auto-fit, minmax(min(100%, 320px), 1fr))" }}
          >
            <How state={state} />
            <Budget budget={state.budget} />
            <Edits edits={state.edits} />
          </div>
          <Runs runs={state.recent ?? []} />
        </div>
      ) : query.isError ? (
        <Card>
          <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        </Card>
      ) : (
        <Card>
          <Skeleton active />
        </Card>
      )}
    </Page>
  );
}

function StateChip({ state }: { state: SyncState }) {
  const t = useTranslate();
  if (state.state === "running")
    return (
      <Chip tone="blue" dot>
        {t("sync.running")}
      </Chip>
    );
  if (state.last?.state === "failed")
    return (
      <Chip tone="red" dot>
        {t("sync.failed")}
      </Chip>
    );
  return (
    <Chip tone="green" dot>
      {t("sync.idle")}
    </Chip>
  );
}

function Warnings({ state, confirm, mayConfirm }: { state: SyncState; confirm: () => void; mayConfirm: boolean }) {
  const t = useTranslate();
  const { number } = useFormat();
  const { held_deletions: held, last, budget, edits } = state;
  const counts = held && { count: number(held.count), known: number(held.known) };
  const failure = last?.state === "failed" ? last.reason : undefined;
  const stuck = edits?.error;
  return (
    <>
      {counts && (
        <Alert
          type="warning"
          showIcon
          message={t("sync.held.title", counts)}
          description={
            <>
              <p style={{ marginBlock: "0 12px" }}>{t("sync.held.text", counts)}</p>
              <Popconfirm
                title={t("sync.held.sure", counts)}
                description={<div style={{ maxWidth: 220 }}>{t("sync.held.sureText")}</div>}
                okText={t("buttons.delete")}
                okButtonProps={{ danger: true }}
                onConfirm={confirm}
                placement="bottomLeft"
              >
                <Button danger disabled={!mayConfirm || state.state === "running"}>
                  {t("sync.held.confirm")}
                </Button>
              </Popconfirm>
            </>
          }
        />
      )}
      {failure && <Alert type="error" showIcon message={t("sync.failure")} description={failure} />}
      {stuck && <Alert type="error" showIcon message={t("sync.edits.error")} description={stuck} />}
      {budget?.warning && (
        <Alert
          type={budget.exhausted ? "error" : "warning"}
          showIcon
          message={t(budget.exhausted ? "sync.budget.exhausted" : "sync.budget.warning")}
          description={budget.warning}
        />
      )}
    </>
  );
}

function Current({ run }: { run: SyncRun }) {
  const t = useTranslate();
  const { number } = useFormat();
  const { records, expected, percent } = run.progress;
  const counts = {
    records: number(records),
    expected: number(expected),
    created: number(run.created),
    updated: number(run.updated),
    deleted: number(run.deleted),
  };
  return (
    <Card>
      <div style={{ display: "flex", flexWrap: "wrap", justifyContent: "space-between", gap: "4px 24px" }}>
        <strong>
          {t(`sync.mode.${run.mode}`)} · {t(`sync.trigger.${run.trigger}`, undefined, run.trigger)}
        </strong>
        <span>{t(expected > 0 ? "sync.progress.of" : "sync.progress.records", counts)}</span>
      </div>
      <Progress
        aria-label={t("sync.progress.label")}
        percent={Math.floor(percent)}
        status="active"
        style={{ marginBlock: 8 }}
      />
      <Quiet>
        {t("sync.progress.found", counts)}
        {run.mode_reason && ` · ${run.mode_reason}`}
      </Quiet>
    </Card>
  );
}

function How({ state }: { state: SyncState }) {
  const t = useTranslate();
  const { number, duration, ago, time } = useFormat();
  const now = useNow();
  const { last, webhook, lag_seconds: lag, next_run_at: next } = state;
  const good = last?.state === "succeeded" ? (last.finished_at ?? last.started_at) : undefined;
  return (
    <Card title={t("sync.how.title")}>
      <Facts>
        <Fact name={t("sync.mode.label")} note={state.mode_reason}>
          {t(`sync.mode.${state.mode}`)}
        </Fact>
        <Fact name={t("sync.how.last")}>
          {good ? <Ago value={good} /> : lag === undefined ? t("sync.neverYet") : ago(new Date(now - lag * 1000), now)}
        </Fact>
        <Fact name={t("sync.how.next")} note={next && time(next)}>
          {next ? ago(next, Math.min(now, Date.parse(next))) : t("sync.how.nextNone")}
        </Fact>
        <Fact name={t("sync.how.every")} note={state.interval_reason}>
          {state.interval_seconds > 0 ? duration(state.interval_seconds) : "–"}
        </Fact>
        <Fact name={t("sync.how.orders")}>{number(state.orders)}</Fact>
        {webhook && (
          <Fact
            name={t("sync.how.notice")}
            note={webhook.last_ping_at && t("sync.how.pingAt", { ago: ago(webhook.last_ping_at, now) })}
          >
            {t(webhook.url ? "sync.how.pinged" : "sync.how.polled")}
          </Fact>
        )}
      </Facts>
    </Card>
  );
}

function Budget({ budget }: { budget: SyncState["budget"] }) {
  const t = useTranslate();
  const { number, date, duration } = useFormat();
  if (!budget) return null;
  const { calls, limit, projected } = budget;
  const share = limit ? (calls / limit) * 100 : 0;
  const over = limit !== undefined && projected > limit;
  return (
    <Card title={t("sync.budget.title")}>
      <Facts>
        <Fact
          name={t("sync.budget.month", { month: date(`${budget.month}-01`, { month: "long" }) })}
          note={!limit && t("sync.budget.unlimited")}
        >
          {limit ? t("sync.budget.used", { calls: number(calls), limit: number(limit) }) : number(calls)}
        </Fact>
      </Facts>
      {limit ? (
        <Progress
          aria-label={t("sync.budget.label")}
          percent={Math.min(100, share)}
          showInfo={false}
          status={budget.exhausted ? "exception" : "normal"}
          style={{ marginBlock: 4 }}
        />
      ) : (
        <div style={{ height: 8 }} />
      )}
      <Facts>
        <Fact name={t("sync.budget.pace")}>{number(budget.pace_per_day, { maximumFractionDigits: 0 })}</Fact>
        <Fact name={t("sync.budget.projected")}>
          {over ? <Chip tone="amber">{number(projected)}</Chip> : number(projected)}
        </Fact>
        {over && budget.suggested_interval_seconds ? (
          <Fact name={t("sync.budget.suggested")}>{duration(budget.suggested_interval_seconds)}</Fact>
        ) : null}
        <Fact name={t("sync.budget.kinds")}>
          {Object.entries(budget.by_kind)
            .sort(([, a], [, b]) => b - a)
            .slice(0, 4)
            .map(([kind, n]) => `${t(`sync.budget.kind.${kind}`, undefined, kind)} ${number(n)}`)
            .join(" · ") || "–"}
        </Fact>
      </Facts>
    </Card>
  );
}

function Edits({ edits }: { edits: SyncState["edits"] | undefined }) {
  const t = useTranslate();
  const { duration } = useFormat();
  const pending = edits?.pending ?? 0;
  return (
    <Card title={t("sync.edits.title")}>
      <strong>{pending > 0 ? t("sync.edits.pending", { count: pending }) : t("sync.edits.none")}</strong>
      <br />
      <Quiet>
        {pending === 0
          ? t("sync.edits.noneText")
          : edits?.oldest_seconds !== undefined && t("sync.edits.oldest", { time: duration(edits.oldest_seconds) })}
      </Quiet>
    </Card>
  );
}

const tones = { succeeded: "green", failed: "red", running: "blue" } as const;

function Runs({ runs }: { runs: SyncRun[] }) {
  const t = useTranslate();
  const { number, duration } = useFormat();
  const { md } = Grid.useBreakpoint();
  const count = (key: "created" | "updated" | "deleted" | "unchanged" | "api_calls", text: string, wide = false) => ({
    key,
    title: t(`sync.runs.${text}`),
    align: "right" as const,
    className: "one-line",
    ...(wide && { responsive: ["xxl" as const] }),
    render: (_: unknown, run: SyncRun) => (run[key] === 0 ? <Quiet>0</Quiet> : number(run[key])),
  });
  const empty = <Empty title={t("sync.runs.empty")} />;
  return (
    <Card title={t("sync.runs.title")} styles={{ body: { padding: 0, overflow: "hidden" } }}>
      {md ? (
        <Table<SyncRun>
          rowKey="id"
          dataSource={runs}
          pagination={{ pageSize: 10, hideOnSinglePage: true, showSizeChanger: false, style: { paddingInline: 16 } }}
          size="middle"
          scroll={{ x: "max-content" }}
          locale={{ emptyText: empty }}
          columns={[
            {
              title: t("sync.runs.state"),
              render: (_, run) => (
                <>
                  <RunChip run={run} />
                  {run.reason && (
                    <div style={{ marginBlockStart: 4, width: 190, whiteSpace: "normal" }}>{run.reason}</div>
                  )}
                </>
              ),
            },
            {
              title: t("sync.mode.label"),
              render: (_, run) => (
                <>
                  <div style={{ minWidth: 170 }}>{t(`sync.mode.${run.mode}`)}</div>
                  {run.mode_reason && <Quiet>{run.mode_reason}</Quiet>}
                </>
              ),
            },
            {
              title: t("sync.trigger.label"),
              responsive: ["lg"],
              className: "one-line",
              render: (_, run) => t(`sync.trigger.${run.trigger}`, undefined, run.trigger),
            },
            { title: t("sync.runs.when"), className: "one-line", render: (_, run) => <Ago value={run.started_at} /> },
            {
              title: t("sync.runs.took"),
              align: "right",
              render: (_, run) =>
                run.finished_at ? duration((Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000) : "–",
            },
            count("created", "created"),
            count("updated", "updated"),
            count("deleted", "deleted"),
            count("unchanged", "unchanged", true),
            count("api_calls", "calls"),
          ]}
        />
      ) : runs.length === 0 ? (
        empty
      ) : (
        <ul style={{ listStyle: "none", margin: 0, padding: "0 16px" }}>
          {runs.slice(0, few).map((run, i) => (
            <li
              key={run.id}
              style={{
                paddingBlock: 12,
                ...(i > 0 && { borderBlockStart: "1px solid var(--ant-color-border-secondary)" }),
              }}
            >
              <div style={{ display: "flex", justifyContent: "space-between", gap: 12, marginBlockEnd: 4 }}>
                <RunChip run={run} />
                <Quiet>
                  <Ago value={run.started_at} />
                </Quiet>
              </div>
              {run.reason && <div>{run.reason}</div>}
              {t(`sync.mode.${run.mode}`)}
              <br />
              <Quiet>
                {t("sync.progress.found", {
                  created: number(run.created),
                  updated: number(run.updated),
                  deleted: number(run.deleted),
                })}
              </Quiet>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

const few = 10; // runs on a phone

function RunChip({ run: { state } }: { run: SyncRun }) {
  const t = useTranslate();
  return (
    <Chip tone={tones[state]} dot>
      {t(`sync.runs.${state}`)}
    </Chip>
  );
}

function Quiet({ children }: { children: ReactNode }) {
  return <span style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>{children}</span>;
}
