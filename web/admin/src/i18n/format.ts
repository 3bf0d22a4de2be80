import { useMemo } from "react";
import { fileOf, useLanguage } from "./index.ts";

/** Writes numbers, amounts and times as people of a language do. What is missing is a dash. */
export interface Format {
  number(value: number | null | undefined, options?: Intl.NumberFormatOptions): string;
  /** 1.234,50; with an ISO 4217 code also the currency. */
  money(value: number | null | undefined, currency?: string | null): string;
  /** 12.3 mil: for axes and tiles. */
  compact(value: number | null | undefined): string;
  /** Of a part: 0.123 is 12 %. */
  percent(value: number | null | undefined, digits?: number): string;
  /** Of `2026-11-03`, as it stands, or of a point in time, as it is here. */
  date(value: string | Date | null | undefined, options?: Intl.DateTimeFormatOptions): string;
  dateTime(value: string | Date | null | undefined): string;
  time(value: string | Date | null | undefined): string;
  /** hace 3 minutos */
  ago(value: string | Date | null | undefined, now?: number): string;
  /** 1 min 20 s, of seconds. */
  duration(seconds: number | null | undefined): string;
  list(values: string[]): string;
}

const missing = "–";
const formats = new Map<string, Format>();

/** Gives the formats of a locale, such as `es-ES`, made once. */
export function formatOf(locale: string): Format {
  const made = formats.get(locale) ?? make(locale);
  formats.set(locale, made);
  return made;
}

/** The formats of the present language. */
export function useFormat(): Format {
  const now = useLanguage();
  return useMemo(() => formatOf(fileOf(now).locale), [now]);
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

function make(locale: string): Format {
  const numbers = cached(
    (key) => new Intl.NumberFormat(locale, { useGrouping: "always", ...JSON.parse(key) } as never),
  );
  const dates = cached((key) => new Intl.DateTimeFormat(locale, JSON.parse(key)));
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const lists = new Intl.ListFormat(locale);

  const number = (value: number | null | undefined, options: Intl.NumberFormatOptions = {}) =>
    typeof value === "number" && Number.isFinite(value) ? numbers(JSON.stringify(options)).format(value) : missing;
  const written = (value: string | Date | null | undefined, options: Intl.DateTimeFormatOptions) => {
    if (value === null || value === undefined || value === "") return missing;
    const bare = typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value);
    const date = new Date(bare ? `${value}T00:00:00Z` : value);
    if (Number.isNaN(date.getTime())) return String(value);
    return dates(JSON.stringify(bare ? { ...options, timeZone: "UTC" } : options)).format(date);
  };

  return {
    number,
    money: (value, currency) => {
      const plain = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
      if (!currency || !/^[A-Z]{3}$/.test(currency)) return number(value, plain);
      return number(value, { ...plain, style: "currency", currency });
    },
    compact: (value) => number(value, { notation: "compact", maximumFractionDigits: 1 }),
    percent: (value, digits = 0) => number(value, { style: "percent", maximumFractionDigits: digits }),
    date: (value, options = { day: "numeric", month: "short", year: "numeric" }) => written(value, options),
    dateTime: (value) => written(value, { dateStyle: "medium", timeStyle: "short" }),
    time: (value) => written(value, { timeStyle: "short" }),
    ago: (value, now = Date.now()) => {
      if (value === null || value === undefined || value === "") return missing;
      const seconds = (new Date(value).getTime() - now) / 1000;
      if (Number.isNaN(seconds)) return missing;
      const [unit, size] = steps.find(([, s]) => Math.abs(seconds) >= s) ?? (["second", 1] as const);
      return relative.format(Math.abs(seconds) < 5 ? 0 : Math.trunc(seconds / size), unit);
    },
    duration: (seconds) => {
      if (typeof seconds !== "number" || !Number.isFinite(seconds)) return missing;
      const unit = (value: number, name: string, digits = 0) =>
        number(value, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: digits });
      if (seconds > 0 && seconds < 0.1) return `< ${unit(0.1, "second", 1)}`;
      if (seconds < 60) return unit(seconds, "second", seconds < 10 ? 1 : 0);
      const all = Math.round(seconds);
      const [days, hours, minutes, rest] = [
        Math.trunc(all / 86_400),
        Math.trunc(all / 3600) % 24,
        Math.trunc(all / 60) % 60,
        all % 60,
      ];
      const parts: [number, string][] = [
        [days, "day"],
        [hours, "hour"],
        [minutes, "minute"],
        [rest, "second"],
      ];
      return parts
        .filter(([value]) => value > 0)
        .slice(0, 2)
        .map(([value, name]) => unit(value, name))
        .join(" ");
    },
    list: (values) => lists.format(values),
  };
}

function cached<T>(create: (key: string) => T): (key: string) => T {
  const made = new Map<string, T>();
  return (key) => {
    const value = made.get(key) ?? create(key);
    made.set(key, value);
    return value;
  };
}
