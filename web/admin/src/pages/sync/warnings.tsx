import { useTranslate } from "@refinedev/core";
import type { SyncState } from "@resonance/refine";
import { Alert, Button, Popconfirm } from "antd";
import { useFormat } from "../../i18n/format.ts";

export function Warnings({
  state,
  confirm,
  mayConfirm,
}: {
  state: SyncState;
  confirm: () => void;
  mayConfirm: boolean;
}) {
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
