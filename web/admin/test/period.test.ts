import dayjs from "dayjs";
import { describe, expect, it } from "vitest";
import { ticksOf } from "../src/pages/dashboard/chart.tsx";
import { binsOf, lastDays, lengthOf, param, parse, preceding, stepOf, trend } from "../src/pages/dashboard/period.ts";

const today = dayjs("2026-11-24T15:00:00");
const plain = ({ from, to }: { from: dayjs.Dayjs; to: dayjs.Dayjs }) => [param(from), param(to)];

describe("periods", () => {
  it("end today, and are compared with as many days before", () => {
    const week = lastDays(7, today);
    expect(plain(week)).toEqual(["2026-11-18", "2026-11-24"]);
    expect(plain(preceding(week))).toEqual(["2026-11-11", "2026-11-17"]);
    expect(lengthOf(preceding(week))).toBe(7);
  });

  it("are only taken from the address when they make sense", () => {
    expect(plain(parse("2026-01-01", "2026-01-31") ?? week())).toEqual(["2026-01-01", "2026-01-31"]);
    for (const [from, to] of [
      ["2026-02-30", "2026-03-01"],
      ["2026-03-02", "2026-03-01"],
      ["yesterday", "2026-03-01"],
      ["1900-01-01", "2026-03-01"],
      [null, "2026-03-01"],
    ] as const)
      expect(parse(from, to), `${from} ${to}`).toBeUndefined();
  });
});

const week = () => lastDays(7, today);

describe("bins", () => {
  it("are there for days without orders, and leave out what is not of the period", () => {
    const bins = binsOf(
      week(),
      [
        { day: "2026-11-19", count: 2, amount: 10.5 },
        { day: "2026-11-17", count: 9, amount: 9 },
        { day: null, count: 9, amount: 9 },
      ],
      "day",
    );
    expect(bins).toHaveLength(7);
    expect(bins[1]).toEqual({ day: "2026-11-19", count: 2, amount: 10.5 });
    expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(2);
  });

  it("hold every day once, by week and by month, across a change of the clocks", () => {
    const year = lastDays(365, today);
    const days = Array.from({ length: 365 }, (_, i) => ({ day: param(year.from.add(i, "day")), count: 1, amount: 2 }));
    for (const step of ["day", "week", "month"] as const) {
      const bins = binsOf(year, days, step);
      expect(
        bins.reduce((sum, { count }) => sum + count, 0),
        step,
      ).toBe(365);
      expect(new Set(bins.map(({ day }) => day)).size, step).toBe(bins.length);
    }
    expect(binsOf(year, days, "week")[0]?.count).toBe(7);
    expect(stepOf(year)).toBe("week");
  });
});

it("has no trend from nothing", () => {
  expect(trend(5, 0)).toBeUndefined();
  expect(trend(5, 4)).toBe(0.25);
});

it.each([1, 3, 7, 48, 158, 999.5, 7_400, 1_204_119])("reaches %s in a few round steps", (most) => {
  const ticks = ticksOf(most);
  expect(ticks[0]).toBe(0);
  expect(ticks.at(-1)).toBeGreaterThanOrEqual(most);
  expect(ticks.length).toBeLessThanOrEqual(6);
  for (const tick of ticks) expect(Number.isInteger(tick)).toBe(true);
});
