import { useTranslate } from "@refinedev/core";
import type { SyncState } from "@resonance/refine";
import { Card, Progress } from "antd";
import { Fact, Facts } from "../../components/facts.tsx";
import { Chip } from "../../components/tags.tsx";
import { useNow } from "../../components/time.tsx";
import { useFormat } from "../../i18n/format.ts";

const least = 24 * 60 * 60 * 1000; // ms of counting before a day's calls can be told

/** How many calls of the month's are used, and for what. */
export function Budget({ budget }: { budget: SyncState["budget"] }) {
  const t = useTranslate();
  const { number, date, duration } = useFormat();
  const now = useNow();
  if (!budget) return null;
  const { calls, limit, projected } = budget;
  const share = limit ? (calls / limit) * 100 : 0;
  const over = limit !== undefined && projected > limit;
  const early = now - Date.parse(budget.since) < least;
  return (
    <Card title={t("sync.budget.title")}>
      <Facts>
        <Fact
          name={t("sync.budget.month", { month: date(`${budget.month}-01`, { month: "long" }) })}
          note={!limit && t("sync.budget.unlimited")}
        >
          {limit ? t("sync.budget.used", { calls: number(calls), limit: number(limit) }) : number(calls)}
        </Fact>
      </Facts>
      {limit ? (
        <Progress
          aria-label={t("sync.budget.label")}
          percent={Math.min(100, share)}
          showInfo={false}
          status={budget.exhausted ? "exception" : "normal"}
          style={{ marginBlock: 4 }}
        />
      ) : (
        <div style={{ height: 8 }} />
      )}
      <Facts>
        <Fact name={t("sync.budget.pace")}>
          {early ? t("sync.budget.early") : number(budget.pace_per_day, { maximumFractionDigits: 0 })}
        </Fact>
        {!early && (
          <Fact name={t("sync.budget.projected")}>
            {over ? <Chip tone="amber">{number(projected)}</Chip> : number(projected)}
          </Fact>
        )}
        {over && !early && budget.suggested_interval_seconds ? (
          <Fact name={t("sync.budget.suggested")}>{duration(budget.suggested_interval_seconds)}</Fact>
        ) : null}
        <Fact name={t("sync.budget.kinds")}>
          {Object.entries(budget.by_kind)
            .sort(([, a], [, b]) => b - a)
            .map(([kind, n]) => `${t(`sync.budget.kind.${kind}`, undefined, kind)} ${number(n)}`)
            .join(" · ") || "–"}
        </Fact>
      </Facts>
    </Card>
  );
}
