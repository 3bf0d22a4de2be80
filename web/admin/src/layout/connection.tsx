import { useTranslate } from "@refinedev/core";
import { Alert, Tooltip } from "antd";
import { type Connection, useConnection, useSettled } from "../connection.ts";
import { useDark } from "../preferences.ts";
import { type ToneName, toneOf } from "../theme.ts";

const tones: Record<Connection, ToneName> = {
  live: "green",
  connecting: "grey",
  reconnecting: "amber",
  offline: "red",
};
const patience = 2_500; // ms that a hiccup may last before it is worth a word

/** A dot, with a word where there is room, for how the live connection stands. */
export function ConnectionState({ short }: { short: boolean }) {
  const t = useTranslate();
  const state = useSettled(useConnection(), 400);
  const { solid } = toneOf(tones[state], useDark());
  const text = t(`connection.${state}`);
  return (
    <Tooltip title={state === "live" ? t("connection.liveText") : short ? text : undefined}>
      <span role="status" style={{ display: "inline-flex", alignItems: "center", gap: 8, whiteSpace: "nowrap" }}>
        <span style={{ width: 8, height: 8, borderRadius: 4, background: solid }} />
        <span className={short ? "only-read" : undefined} style={{ fontSize: 13 }}>
          {text}
        </span>
      </span>
    </Tooltip>
  );
}

/** Says that what is seen may be out of date, once that has lasted. */
export function ConnectionBanner() {
  const t = useTranslate();
  const state = useConnection();
  const lasts = useSettled(state !== "live" && state !== "connecting", patience);
  if (!lasts || state === "live" || state === "connecting") return null;
  return (
    <Alert
      banner
      type={state === "offline" ? "error" : "warning"}
      role="status"
      message={t(`connection.${state}Text`)}
    />
  );
}
