import { DownOutlined, SyncOutlined } from "@ant-design/icons";
import { useCan, useTranslate } from "@refinedev/core";
import { Button, Card, Dropdown, Skeleton, Space, Tooltip } from "antd";
import { Page } from "../../components/page.tsx";
import { ErrorState } from "../../components/states.tsx";
import { useSync } from "../../sync.ts";
import { Budget } from "./budget.tsx";
import { CurrentRun } from "./current-run.tsx";
import { Edits } from "./edits.tsx";
import { Runs } from "./runs.tsx";
import { StateChip } from "./state-chip.tsx";
import { Status } from "./status.tsx";
import { type Mode, useRun } from "./use-run.ts";
import { Warnings } from "./warnings.tsx";

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
          {state.current && <CurrentRun run={state.current} />}
          <div
            style={{ display: "grid", gap: 16, gridTemplateColumns: "repeat(auto-fit, minmax(min(100%, 320px), 1fr))" }}
          >
            <Status state={state} />
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
