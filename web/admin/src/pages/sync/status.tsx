import { useTranslate } from "@refinedev/core";
import type { SyncState } from "@resonance/refine";
import { Card } from "antd";
import { Fact, Facts } from "../../components/facts.tsx";
import { Ago, useNow } from "../../components/time.tsx";
import { useFormat } from "../../i18n/format.ts";

export function Status({ state }: { state: SyncState }) {
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
