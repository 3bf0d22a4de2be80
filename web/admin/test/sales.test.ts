import type { SaleLine, SalesSummary } from "@resonance/refine";
import { describe, expect, it } from "vitest";
import { estimate, estimateAll, linesChanged, readLine, writeLines } from "../src/pages/sales/lines.ts";
import { allowed } from "../src/pages/sales/sale.tsx";
import { byMonth, byState, ceiling, currenciesOf } from "../src/pages/sales/summary.ts";

const eur = { id: 1, name: "EUR" };
const usd = { id: 2, name: "USD" };
const total = (
  state: "draft" | "sent" | "sale" | "cancel",
  amount_total: number,
  month: string | null,
  currency = eur,
) => ({
  month,
  state,
  currency,
  count: 1,
  amount_untaxed: amount_total,
  amount_total,
});
const summary: SalesSummary = {
  total: 5,
  by_state: [total("sale", 300, null), total("sale", 5, null, usd), total("draft", 10, null), total("cancel", 7, null)],
  by_month: [
    total("sale", 100, "2025-11"),
    total("sale", 200, "2026-02"),
    total("draft", 10, "2026-02"),
    total("cancel", 7, "2026-03"),
    total("sale", 5, "2026-02", usd),
  ],
};

describe("the summary", () => {
  it("never adds currencies", () => {
    expect(currenciesOf(summary)).toEqual(["EUR", "USD"]);
    expect(byState(summary, "EUR")).toEqual({
      draft: { count: 1, amount: 10 },
      sent: { count: 0, amount: 0 },
      sale: { count: 1, amount: 300 },
      cancel: { count: 1, amount: 7 },
    });
    expect(byState(summary, "USD").sale.amount).toBe(5);
  });

  it("shows months without sales, and no cancelled ones", () => {
    expect(byMonth(summary, "EUR").map(({ month, total }) => [month, total])).toEqual([
      ["2025-11", 100],
      ["2025-12", 0],
      ["2026-01", 0],
      ["2026-02", 210],
    ]);
    expect(byMonth(summary, "EUR", 2).map(({ month }) => month)).toEqual(["2026-01", "2026-02"]);
    expect(byMonth({ ...summary, by_month: [] }, "EUR")).toEqual([]);
  });

  it("has a round top", () => {
    expect([0, 1, 58_000, 61, 999].map(ceiling)).toEqual([1, 1, 60_000, 80, 1000]);
  });
});

const line: SaleLine = {
  id: 7,
  product: { id: 3, name: "Silla" },
  name: "Silla",
  qty: 2,
  uom: null,
  price_unit: 10,
  discount: 0,
  taxes: [],
  display_type: null,
  subtotal: 20,
  total: 24.2,
};

describe("lines", () => {
  const before = [readLine(line), readLine({ ...line, id: 8, product: null, display_type: "line_note", name: "Ojo" })];

  it("send what was changed of those that stay, and all of those that are new", () => {
    expect(writeLines(before, before)).toEqual([{ id: 7 }, { id: 8 }]);
    const [first, note] = before as [(typeof before)[0], (typeof before)[0]];
    expect(
      writeLines([{ ...first, qty: 5, discount: null }, note, { product: 9, qty: 1, price_unit: null }], before),
    ).toEqual([{ id: 7, qty: 5, discount: 0 }, { id: 8 }, { product: 9, qty: 1 }]);
  });

  it("leave price and text to Odoo when the product is another", () => {
    expect(writeLines([{ ...before[0], product: 4, price_unit: null }], before)).toEqual([{ id: 7, product: 4 }]);
  });

  it("are changed when one goes, comes, or moves", () => {
    expect(linesChanged(before, before)).toBe(false);
    expect(linesChanged(before.slice(1), before)).toBe(true);
    expect(linesChanged([...before, { product: 1, qty: 1 }], before)).toBe(true);
    expect(linesChanged([...before].reverse(), before)).toBe(true);
    expect(linesChanged([{ ...before[0], qty: 3 }, ...before.slice(1)], before)).toBe(true);
  });

  it("come to an estimate where prices are known", () => {
    expect(estimate({ qty: 3, price_unit: 9.99, discount: 10 })).toBe(26.97);
    expect(estimate({ qty: 2, list: 5, price_unit: null })).toBe(10);
    expect(estimate({ qty: 2 })).toBeUndefined();
    expect(estimateAll([...before, {}])).toBe(20);
    expect(estimateAll([...before, { product: 1, qty: 1 }])).toBeUndefined();
    expect(estimateAll([])).toBeUndefined();
  });
});

it("a sale allows what its state does", () => {
  expect(allowed({ state: "draft", locked: false })).toEqual({ edit: true, confirm: true, cancel: true });
  expect(allowed({ state: "sent", locked: null })).toEqual({ edit: true, confirm: true, cancel: true });
  expect(allowed({ state: "sale", locked: false })).toEqual({ edit: false, confirm: false, cancel: true });
  expect(allowed({ state: "sale", locked: true })).toEqual({ edit: false, confirm: false, cancel: false });
  expect(allowed({ state: "cancel", locked: false })).toEqual({ edit: false, confirm: false, cancel: false });
});
