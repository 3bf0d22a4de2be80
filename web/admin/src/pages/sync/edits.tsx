import { useTranslate } from "@refinedev/core";
import type { SyncState } from "@resonance/refine";
import { Card } from "antd";
import { useFormat } from "../../i18n/format.ts";
import { Quiet } from "./quiet.tsx";

export function Edits({ edits }: { edits: SyncState["edits"] | undefined }) {
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
