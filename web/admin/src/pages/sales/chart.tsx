import type { CrudFilter } from "@refinedev/core";
import { useKeys, useTranslate } from "@refinedev/core";
import type { SalesSummary } from "@resonance/refine";
import { filterParams } from "@resonance/refine";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Card, Grid, Segmented, Skeleton, Tooltip, theme } from "antd";
import { useState } from "react";
import { useFailure } from "../../components/records/freshness.tsx";
import { whileAway } from "../../components/records/use-rows.ts";
import { useFormat } from "../../i18n/format.ts";
import { useDark } from "../../preferences.ts";
import { resonance } from "../../resonance.ts";
import { toneOf } from "../../theme.ts";
import { type State, states, stateTones } from "./sale.tsx";
import { byMonth, byState, ceiling, currenciesOf, type Month } from "./summary.ts";

/** The summary of the sales that match. A change of any sale reads it again, as it does Refine's own lists. */
function useSummary(filters: CrudFilter[]) {
  const { keys } = useKeys();
  return useQuery({
    queryKey: [...keys().data("default").resource("sales").get(), "summary", filters],
    queryFn: async ({ signal }) => {
      const query = filterParams(resonance.client, filters);
      return (await resonance.client.json<SalesSummary>("/api/v1/sales/summary", { query, signal })).data;
    },
    placeholderData: keepPreviousData,
    refetchInterval: whileAway,
  });
}

/** Sales by state, which filter the list, and by month. */
export function Summary({
  filters,
  chosen,
  onChoose,
}: {
  /** All but that of the state. */
  filters: CrudFilter[];
  chosen: State[];
  onChoose: (states: State[]) => void;
}) {
  const t = useTranslate();
  const query = useSummary(filters);
  const [currency, setCurrency] = useState<string>();
  const failure = useFailure(query);
  const summary = query.data;
  if (!summary) {
    // The list beneath says what is wrong.
    return failure ? null : (
      <Card style={{ marginBlockEnd: 16 }}>
        <Skeleton active title={false} paragraph={{ rows: 5 }} />
      </Card>
    );
  }
  const currencies = currenciesOf(summary);
  const shown = currency && currencies.includes(currency) ? currency : (currencies[0] ?? "");
  const totals = byState(summary, shown);
  return (
    <Card style={{ marginBlockEnd: 16 }}>
      <div style={{ display: "flex", flexWrap: "wrap", gap: "20px 32px" }}>
        <fieldset
          style={{
            flex: "1 1 260px",
            maxWidth: 420,
            display: "grid",
            gridTemplateColumns: "repeat(2, minmax(0, 1fr))",
            gap: 8,
            alignContent: "center",
            border: 0,
            margin: 0,
            padding: 0,
            minWidth: 0,
          }}
        >
          <legend className="only-read">{t("sales.summary.label")}</legend>
          {states.map((state) => (
            <StateTile
              key={state}
              state={state}
              {...totals[state]}
              currency={shown}
              pressed={chosen.includes(state)}
              onPress={() => onChoose(chosen.includes(state) ? chosen.filter((s) => s !== state) : [...chosen, state])}
            />
          ))}
        </fieldset>
        <div style={{ flex: "2 1 340px", minWidth: 0 }}>
          {currencies.length > 1 && (
            <div style={{ textAlign: "end", marginBlockEnd: 8 }}>
              <Segmented
                size="small"
                aria-label={t("sales.summary.currency")}
                options={currencies}
                value={shown}
                onChange={setCurrency}
              />
            </div>
          )}
          <Chart months={byMonth(summary, shown)} currency={shown} />
        </div>
      </div>
    </Card>
  );
}

function StateTile({
  state,
  count,
  amount,
  currency,
  pressed,
  onPress,
}: {
  state: State;
  count: number;
  amount: number;
  currency: string;
  pressed: boolean;
  onPress: () => void;
}) {
  const t = useTranslate();
  const { money, number } = useFormat();
  const { token } = theme.useToken();
  const tone = toneOf(stateTones[state], useDark());
  return (
    <button
      type="button"
      aria-pressed={pressed}
      onClick={onPress}
      style={{
        display: "grid",
        gap: 2,
        padding: "10px 12px",
        textAlign: "start",
        font: "inherit",
        color: token.colorText,
        cursor: "pointer",
        borderRadius: token.borderRadius,
        border: `1px solid ${pressed ? tone.solid : token.colorBorderSecondary}`,
        background: pressed ? tone.soft : "transparent",
        minWidth: 0,
      }}
    >
      <span
        style={{
          display: "flex",
          alignItems: "center",
          gap: 7,
          fontSize: 13,
          color: pressed ? tone.text : token.colorTextSecondary,
        }}
      >
        <span style={{ flex: "none", width: 8, height: 8, borderRadius: 4, background: tone.solid }} />
        {t(`sales.states.${state}`)}
      </span>
      <strong style={{ fontSize: 16, fontWeight: 600, overflow: "hidden", textOverflow: "ellipsis" }}>
        {money(amount, currency)}
      </strong>
      <span style={{ fontSize: 12.5, color: pressed ? tone.text : token.colorTextSecondary }}>
        {t("sales.summary.count", { count, formatted: number(count) })}
      </span>
    </button>
  );
}

const height = 148; // px

/** Bars by month, each of its states. Screen readers get a table. */
function Chart({ months, currency }: { months: Month[]; currency: string }) {
  const t = useTranslate();
  const dark = useDark();
  const { md } = Grid.useBreakpoint();
  const { money, compact, date } = useFormat();
  const { token } = theme.useToken();
  const shown = states.filter((state) => state !== "cancel");
  if (months.length === 0) {
    return (
      <p style={{ display: "grid", placeItems: "center", height: "100%", margin: 0, color: token.colorTextSecondary }}>
        {t("sales.summary.none")}
      </p>
    );
  }
  const top = ceiling(Math.max(...months.map(({ total }) => total)));
  const name = (month: string) => date(`${month}-01`, { month: "long", year: "numeric" });
  return (
    <figure style={{ margin: 0, position: "relative" }}>
      <figcaption style={{ color: token.colorTextSecondary, fontSize: 13, marginBlockEnd: 10 }}>
        {t("sales.summary.chart")}
      </figcaption>
      <div aria-hidden style={{ display: "grid", gridTemplateColumns: "auto minmax(0, 1fr)", columnGap: 10 }}>
        <div
          style={{
            height: height + 16, // half a line more at each end
            display: "flex",
            flexDirection: "column",
            justifyContent: "space-between",
            marginBlock: -8,
            textAlign: "end",
            fontSize: 12,
            lineHeight: "16px",
            color: token.colorTextTertiary,
          }}
        >
          {[1, 0.5, 0].map((part) => (
            <span key={part}>{compact(top * part)}</span>
          ))}
        </div>
        <div
          style={{
            position: "relative",
            height,
            display: "flex",
            alignItems: "flex-end",
            background: `linear-gradient(${token.colorBorderSecondary} 1px, transparent 1px) 0 0 / 100% ${height / 2}px, linear-gradient(${token.colorBorderSecondary}, ${token.colorBorderSecondary}) 0 100% / 100% 1px no-repeat`,
          }}
        >
          {months.map(({ month, amounts, total }) => (
            <Tooltip
              key={month}
              title={
                <>
                  <strong>{name(month)}</strong>
                  {shown.map((state) => (
                    <div key={state}>
                      {t(`sales.states.${state}`)}: {money(amounts[state] ?? 0, currency)}
                    </div>
                  ))}
                </>
              }
            >
              <div
                style={{ flex: 1, height: "100%", display: "flex", justifyContent: "center", alignItems: "flex-end" }}
              >
                <div
                  style={{
                    width: "56%",
                    maxWidth: 34,
                    height: `${(total / top) * 100}%`,
                    display: "flex",
                    flexDirection: "column-reverse",
                    borderRadius: "4px 4px 0 0",
                    overflow: "hidden",
                  }}
                >
                  {["sale", "sent", "draft"].map((state) => (
                    <div
                      key={state}
                      style={{
                        flex: `${amounts[state as State] ?? 0} 0 0px`,
                        background: toneOf(stateTones[state as State], dark).solid,
                      }}
                    />
                  ))}
                </div>
              </div>
            </Tooltip>
          ))}
        </div>
        <span />
        <div style={{ display: "flex", marginBlockStart: 6, fontSize: 12, color: token.colorTextTertiary }}>
          {months.map(({ month }) => (
            <span key={month} style={{ flex: 1, textAlign: "center", overflow: "hidden" }}>
              {date(`${month}-01`, { month: md || months.length < 7 ? "short" : "narrow" })}
            </span>
          ))}
        </div>
      </div>
      <div className="only-read">
        <table>
          <caption>{t("sales.summary.chart")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("sales.summary.month")}</th>
              {shown.map((state) => (
                <th key={state} scope="col">
                  {t(`sales.states.${state}`)}
                </th>
              ))}
              <th scope="col">{t("sales.summary.total")}</th>
            </tr>
          </thead>
          <tbody>
            {months.map(({ month, amounts, total }) => (
              <tr key={month}>
                <th scope="row">{name(month)}</th>
                {shown.map((state) => (
                  <td key={state}>{money(amounts[state] ?? 0, currency)}</td>
                ))}
                <td>{money(total, currency)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}
