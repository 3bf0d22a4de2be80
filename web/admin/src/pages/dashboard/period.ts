import dayjs, { type Dayjs } from "dayjs";

/** A range of days, both of them in it. */
export interface Period {
  from: Dayjs;
  to: Dayjs;
}

export type Step = "day" | "week" | "month";

/** What a bar stands for. */
export interface Bin {
  /** Its first day, YYYY-MM-DD. */
  day: string;
  count: number;
  amount: number;
}

const written = "YYYY-MM-DD";

export const param = (day: Dayjs): string => day.format(written);

/** The last `days` days, with today. */
export function lastDays(days: number, today: Dayjs = dayjs()): Period {
  const to = today.startOf("day");
  return { from: to.subtract(days - 1, "day"), to };
}

export const lengthOf = ({ from, to }: Period): number => to.diff(from, "day") + 1;

/** The period of the same length that ends the day before. */
export function preceding(period: Period): Period {
  const to = period.from.subtract(1, "day");
  return { from: to.subtract(lengthOf(period) - 1, "day"), to };
}

/** Reads what the address says, if that makes sense. */
export function parse(from: string | null, to: string | null): Period | undefined {
  if (!from || !to || !/^\d{4}-\d\d-\d\d$/.test(from) || !/^\d{4}-\d\d-\d\d$/.test(to)) return undefined;
  const period = { from: dayjs(from), to: dayjs(to) };
  const valid = param(period.from) === from && param(period.to) === to && !period.to.isBefore(period.from);
  return valid && lengthOf(period) <= 3660 ? period : undefined;
}

/** The step that gives a number of bars people can tell apart. */
export function stepOf(period: Period): Step {
  const days = lengthOf(period);
  return days <= 62 ? "day" : days <= 400 ? "week" : "month";
}

/**
 * Puts days into bins that fill the period, those without orders too. Weeks are counted from its first
 * day, so that the weeks of two periods of one length match; months are those of the calendar.
 */
export function binsOf(
  period: Period,
  days: { day: string | null; count: number; amount: number }[],
  step: Step,
): Bin[] {
  const bins = new Map<string, Bin>();
  const start = (day: Dayjs) => {
    if (step === "month") return day.isSame(period.from, "month") ? period.from : day.startOf("month");
    if (step === "day") return day;
    return day.subtract(day.diff(period.from, "day") % 7, "day");
  };
  const binOf = (day: Dayjs) => {
    const first = param(start(day));
    const bin = bins.get(first) ?? { day: first, count: 0, amount: 0 };
    bins.set(first, bin);
    return bin;
  };
  for (let day = period.from; !day.isAfter(period.to); day = day.add(1, "day")) binOf(day);
  for (const { day, count, amount } of days) {
    if (!day || day < param(period.from) || day > param(period.to)) continue;
    const bin = binOf(dayjs(day));
    bin.count += count;
    bin.amount += amount;
  }
  return [...bins.values()];
}

/** The change as a part of what was before; undefined where there was nothing. */
export function trend(now: number, then: number): number | undefined {
  return then > 0 ? (now - then) / then : undefined;
}
