import { useTranslate } from "@refinedev/core";
import type { SyncRun } from "@resonance/refine";
import { Card, Progress } from "antd";
import { useFormat } from "../../i18n/format.ts";
import { Quiet } from "./quiet.tsx";

export function CurrentRun({ run }: { run: SyncRun }) {
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
