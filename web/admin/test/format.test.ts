import { describe, expect, it } from "vitest";
import { formatOf } from "../src/i18n/format.ts";

const es = formatOf("es-ES");
const en = formatOf("en-GB");
const plain = (text: string) => text.replace(/[\u00a0\u202f]/g, " ");

describe("formats", () => {
  it("writes amounts as each language does", () => {
    expect(es.money(1234.5)).toBe("1.234,50");
    expect(en.money(1234.5)).toBe("1,234.50");
    expect(plain(es.money(1234.5, "EUR"))).toBe("1.234,50 €");
    expect(es.money(null)).toBe("–");
    expect(es.money(2, "no currency")).toBe("2,00");
  });

  it("takes a date as it stands, wherever the reader is", () => {
    expect(es.date("2026-11-03")).toBe("3 nov 2026");
    expect(en.date("2026-11-03")).toBe("3 Nov 2026");
    expect(es.date("")).toBe("–");
    expect(es.date("soon")).toBe("soon");
  });

  it("counts back from now in whole units", () => {
    const now = Date.parse("2026-11-24T12:00:00Z");
    expect(es.ago("2026-11-24T11:59:58Z", now)).toBe("ahora");
    expect(es.ago("2026-11-24T11:57:01Z", now)).toBe("hace 2 minutos");
    expect(en.ago("2026-11-23T11:00:00Z", now)).toBe("yesterday");
    expect(en.ago("2026-11-24T15:00:00Z", now)).toBe("in 3 hours");
    expect(es.ago(undefined, now)).toBe("–");
  });

  it("writes durations in the two largest units", () => {
    expect(plain(es.duration(4.66))).toBe("4,7 s");
    expect(plain(es.duration(80))).toBe("1 min 20 s");
    expect(plain(en.duration(90_061))).toBe("1 day 1 hr");
    expect(es.duration(Number.NaN)).toBe("–");
  });
});
