import type { NotificationProvider, OpenNotificationParams } from "@refinedev/core";
import { App, Button, Progress } from "antd";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

/** Refine's notifications by Ant Design's, with a countdown and a word to undo what can be undone. */
export function useNotifications(): NotificationProvider {
  const { notification } = App.useApp();
  return useMemo(
    () => ({
      open: ({ key, message, description, type, cancelMutation, undoableTimeout = 0 }) => {
        if (key === "login-error") return; // the form says it
        if (type === "progress") {
          const undo = () => {
            cancelMutation?.();
            if (key) notification.destroy(key);
          };
          notification.open({
            key,
            message: <Undoable message={message} seconds={undoableTimeout} undo={undo} />,
            duration: 0,
            closable: false,
          });
          return;
        }
        // Refine's description is what happened: the API's own words, or the kind of success.
        const failed = type === "error";
        notification[type]({
          key,
          message: failed && description ? description : message,
          description: failed && description && description !== message ? message : undefined,
          role: failed ? "alert" : "status",
          duration: failed ? 8 : 3,
        });
      },
      close: (key) => notification.destroy(key),
    }),
    [notification],
  );
}

const longest = 5; // seconds, Refine's default

function Undoable({
  message,
  seconds,
  undo,
}: { seconds: number; undo: () => void } & Pick<OpenNotificationParams, "message">) {
  const { t } = useTranslation(); // Refine's own hook knows no provider out here
  return (
    <div style={{ display: "flex", alignItems: "center", gap: 12 }}>
      <Progress
        type="circle"
        aria-hidden
        size={32}
        percent={Math.min(100, (seconds / longest) * 100)}
        format={() => seconds}
        status="normal"
      />
      <span style={{ flex: 1 }}>{message}</span>
      <Button onClick={undo} disabled={seconds === 0}>
        {t("buttons.undo")}
      </Button>
    </div>
  );
}
