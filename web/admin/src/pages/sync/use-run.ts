import { useCustomMutation, useTranslate } from "@refinedev/core";
import { App } from "antd";

export type Mode = "auto" | "incremental" | "full";

/** Asks for a run, which goes on by itself. */
export function useRun() {
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
