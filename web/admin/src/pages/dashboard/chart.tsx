import { useTranslate } from "@refinedev/core";
import { theme } from "antd";
import { type KeyboardEvent, type PointerEvent, useId, useState } from "react";
import { useWidth } from "../../components/use-width.ts";
import { useFormat } from "../../i18n/format.ts";
import type { Bin, Step } from "./period.ts";

export type Metric = "amount" | "count";

interface Props {
  bins: Bin[];
  /** Of the period before, one for each of `bins` as far as there are. */
  earlier: Bin[];
  metric: Metric;
  step: Step;
  /** What it shows, in a sentence. */
  summary: string;
}

const height = 250;
const edge = { top: 12, right: 4, bottom: 26, left: 52 };

/** Bars for the period, with a line for the period before it. */
export function Chart({ bins, earlier, metric, step, summary }: Props) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { compact, number, money, date } = useFormat();
  const [frame, width] = useWidth();
  const [at, setAt] = useState<number>();
  const label = useId();

  const most = Math.max(1, ...bins.map((bin) => bin[metric]), ...earlier.map((bin) => bin[metric]));
  const ticks = ticksOf(most);
  const top = ticks[ticks.length - 1] ?? 1;
  const inner = { width: Math.max(0, width - edge.left - edge.right), height: height - edge.top - edge.bottom };
  const slot = inner.width / Math.max(1, bins.length);
  const bar = Math.min(34, Math.max(1.5, slot * 0.66));
  const x = (i: number) => edge.left + slot * (i + 0.5);
  const y = (value: number) => edge.top + inner.height * (1 - value / top);
  const every = Math.max(1, Math.ceil(bins.length / Math.max(2, Math.floor(inner.width / 84))));
  const dayText = (day: string) =>
    date(day, step === "month" ? { month: "short", year: "2-digit" } : { day: "numeric", month: "short" });
  const value = (n: number) => (metric === "amount" ? money(n) : number(n));
  const line = earlier.slice(0, bins.length).map((bin, i) => `${x(i).toFixed(1)},${y(bin[metric]).toFixed(1)}`);
  const shown = at === undefined ? undefined : bins[Math.min(at, bins.length - 1)];

  const point = (event: PointerEvent<SVGSVGElement>) => {
    const left = event.clientX - event.currentTarget.getBoundingClientRect().left;
    const i = Math.floor((left - edge.left) / slot);
    setAt(i >= 0 && i < bins.length ? i : undefined);
  };
  const go = (event: KeyboardEvent) => {
    const last = bins.length - 1;
    const to = { ArrowRight: (at ?? -1) + 1, ArrowLeft: (at ?? bins.length) - 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") setAt(undefined);
    if (to === undefined) return;
    event.preventDefault();
    setAt(Math.max(0, Math.min(last, to)));
  };

  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is of a form; this is one picture
    <div
      ref={frame}
      role="group"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: one stop for the keyboard, whose arrows go from bar to bar
      tabIndex={0}
      aria-labelledby={label}
      onKeyDown={go}
      onBlur={() => setAt(undefined)}
      style={{ position: "relative", minHeight: height, borderRadius: token.borderRadius }}
    >
      <span id={label} className="only-read">
        {summary} {t("dashboard.chart.keys")}
      </span>
      <svg
        aria-hidden="true"
        width={width}
        height={height}
        onPointerMove={point}
        onPointerLeave={() => setAt(undefined)}
        style={{ display: "block", touchAction: "pan-y" }}
      >
        {ticks.map((tick) => (
          <g key={tick}>
            <line
              x1={edge.left}
              x2={width - edge.right}
              y1={y(tick)}
              y2={y(tick)}
              stroke={tick === 0 ? token.colorBorder : token.colorBorderSecondary}
            />
            <text x={edge.left - 10} y={y(tick) + 4} textAnchor="end" fontSize={12} fill={token.colorTextSecondary}>
              {compact(tick)}
            </text>
          </g>
        ))}
        {bins.map((bin, i) => {
          const h = Math.max(bin[metric] > 0 ? 1.5 : 0, y(0) - y(bin[metric]));
          return (
            <g key={bin.day}>
              {at === i && (
                <rect
                  x={x(i) - slot / 2}
                  y={edge.top}
                  width={slot}
                  height={inner.height}
                  fill={token.colorFillTertiary}
                />
              )}
              <rect
                x={x(i) - bar / 2}
                y={y(0) - h}
                width={bar}
                height={h}
                rx={Math.min(3, bar / 3)}
                fill={token.colorPrimary}
                fillOpacity={at === undefined || at === i ? 0.9 : 0.6}
              />
              {i % every === 0 && (
                <text
                  x={Math.max(edge.left + 14, Math.min(x(i), width - 22))}
                  y={height - 7}
                  textAnchor="middle"
                  fontSize={12}
                  fill={token.colorTextSecondary}
                >
                  {dayText(bin.day)}
                </text>
              )}
            </g>
          );
        })}
        {line.length > 1 && (
          <polyline
            points={line.join(" ")}
            fill="none"
            stroke={token.colorWarning}
            strokeWidth={1.6}
            strokeDasharray="4 4"
            strokeLinejoin="round"
          />
        )}
      </svg>
      <div aria-live="polite">
        {shown && at !== undefined && (
          <div
            style={{
              position: "absolute",
              top: 0,
              left: Math.max(0, Math.min(width - 196, x(at) - 98)),
              width: 172,
              padding: "8px 12px",
              pointerEvents: "none",
              borderRadius: token.borderRadius,
              background: token.colorBgElevated,
              boxShadow: token.boxShadowSecondary,
              fontSize: 13,
              lineHeight: 1.6,
            }}
          >
            <div style={{ color: token.colorTextSecondary }}>
              {date(shown.day, step === "month" ? { month: "long", year: "numeric" } : undefined)}
            </div>
            <div style={{ display: "flex", justifyContent: "space-between", fontWeight: 600 }}>
              <span>{t(metric === "amount" ? "dashboard.amount" : "dashboard.orders")}</span>
              <span>{value(shown[metric])}</span>
            </div>
            {earlier[at] && (
              <div style={{ color: token.colorTextSecondary }}>
                {t("dashboard.before", { value: value(earlier[at][metric]) })}
              </div>
            )}
          </div>
        )}
      </div>
    </div>
  );
}

/** Round values from 0 to at least `most`, four or five of them. */
export function ticksOf(most: number): number[] {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, ([1, 2, 2.5, 5, 10].find((f) => f * power >= rough) ?? 10) * power);
  const whole = Number.isInteger(step) ? step : Math.ceil(step);
  return Array.from({ length: Math.ceil(most / whole) + 1 }, (_, i) => i * whole);
}
