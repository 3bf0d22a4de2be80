import { useTranslate } from "@refinedev/core";
import type { SyncState } from "@resonance/refine";
import { Chip } from "../../components/tags.tsx";

export function StateChip({ state }: { state: SyncState }) {
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
