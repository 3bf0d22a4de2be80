import { useTranslate } from "@refinedev/core";
import type { SyncRun } from "@resonance/refine";
import { Card, Grid, Table } from "antd";
import { Empty } from "../../components/states.tsx";
import { Chip } from "../../components/tags.tsx";
import { Ago } from "../../components/time.tsx";
import { useFormat } from "../../i18n/format.ts";
import { Quiet } from "./quiet.tsx";

const tones = { succeeded: "green", failed: "red", running: "blue" } as const;

export function Runs({ runs }: { runs: SyncRun[] }) {
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
                  {t(`sync.mode.${run.mode}`)}
                  {run.mode_reason && (
                    <div style={{ width: 170, whiteSpace: "normal" }}>
                      <Quiet>{run.mode_reason}</Quiet>
                    </div>
                  )}
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
