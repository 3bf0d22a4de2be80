import type { SalesSummary } from "@resonance/refine";
import { type State, states } from "./sale.tsx";

type Total = SalesSummary["by_state"][number];

export interface Month {
  /** YYYY-MM */
  month: string;
  amounts: Partial<Record<State, number>>;
  total: number;
}

/** The currencies of a summary by their ISO codes, the one with most sales first. */
export function currenciesOf({ by_state }: SalesSummary): string[] {
  const counts = new Map<string, number>();
  for (const { currency, count } of by_state) {
    const name = currency?.name ?? "";
    counts.set(name, (counts.get(name) ?? 0) + count);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([name]) => name);
}

const of = (currency: string) => (total: Total) => (total.currency?.name ?? "") === currency;

/** How many sales there are in each state, and their amount in one currency. */
export function byState(summary: SalesSummary, currency: string): Record<State, { count: number; amount: number }> {
  const totals = summary.by_state.filter(of(currency));
  return Object.fromEntries(
    states.map((state) => {
      const found = totals.filter((total) => total.state === state);
      const sum = (key: "count" | "amount_total") => found.reduce((all, total) => all + total[key], 0);
      return [state, { count: sum("count"), amount: sum("amount_total") }];
    }),
  ) as Record<State, { count: number; amount: number }>;
}

/** The last `most` months that have sales, with those between that have none. What is cancelled is no income. */
export function byMonth(summary: SalesSummary, currency: string, most = 12): Month[] {
  const months = new Map<string, Month>();
  for (const { month, state, amount_total } of summary.by_month.filter(of(currency))) {
    if (!month || state === "cancel") continue;
    const at = months.get(month) ?? { month, amounts: {}, total: 0 };
    at.amounts[state] = (at.amounts[state] ?? 0) + amount_total;
    at.total += amount_total;
    months.set(month, at);
  }
  const known = [...months.keys()].sort();
  const last = known.at(-1);
  const first = known[0];
  if (!first || !last) return [];
  const all: Month[] = [];
  for (let month = last; all.length < most && month >= first; month = before(month)) {
    all.unshift(months.get(month) ?? { month, amounts: {}, total: 0 });
  }
  return all;
}

function before(month: string): string {
  const [year = 0, of = 1] = month.split("-").map(Number);
  return of === 1 ? `${year - 1}-12` : `${year}-${String(of - 1).padStart(2, "0")}`;
}

/** The round number at the top of an axis, half of which is round too. */
export function ceiling(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value) ?? 10);
}
