import type { SaleLine } from "@resonance/refine";
import { changes } from "../../components/records/changes.ts";
import type { Typed } from "../../components/records/numbers.ts";
import type { Ref } from "../../components/records/selects.tsx";

/** A line as the form has it. A section or a note has text only. */
export interface Line {
  id?: number;
  product?: number | undefined;
  /** The product by name, and its price in the list. */
  known?: Ref | null;
  list?: number | null;
  currency?: string | undefined;
  name?: string | null;
  qty?: Typed;
  price_unit?: Typed;
  discount?: Typed;
  display_type?: string | null;
}

export const readLine = (line: SaleLine): Line => ({
  id: line.id,
  product: line.product?.id,
  known: line.product,
  name: line.name,
  qty: line.qty,
  price_unit: line.price_unit,
  discount: line.discount,
  display_type: line.display_type,
});

const written = ["product", "name", "qty", "price_unit", "discount"] as const;

type Sent = { id?: number } & Partial<Record<(typeof written)[number], unknown>>;

/**
 * Lines as the API takes them: the whole set, in which one with an id stays, with what was changed of it.
 * A price that is not given is Odoo's; so is the text of a line that has another product now.
 */
export function writeLines(lines: readonly Line[], before: readonly Line[] = []): Sent[] {
  return lines.map((line) => {
    const pick = (from: Line) => Object.fromEntries(written.map((name) => [name, from[name]]));
    const old = before.find(({ id }) => id !== undefined && id === line.id);
    const sent: Sent = changes(old ? pick(old) : {}, pick(line));
    if (sent.product !== undefined && sent.name === old?.name) delete sent.name;
    for (const name of ["price_unit", "name", "qty", "discount"] as const) {
      if (sent[name] === null) delete sent[name];
    }
    if (old && line.discount === null) sent.discount = 0;
    return old ? { id: line.id as number, ...sent } : sent;
  });
}

/** Whether the set of lines is another one. */
export function linesChanged(lines: readonly Line[], before: readonly Line[]): boolean {
  return (
    lines.length !== before.length ||
    writeLines(lines, before).some((line, i) => line.id !== before[i]?.id || Object.keys(line).length > 1)
  );
}

/** What a line comes to without taxes, as far as it can be known before Odoo says. */
export function estimate({ qty, price_unit, list, discount, display_type }: Line): number | undefined {
  const price = price_unit ?? list;
  if (display_type) return 0;
  const off = discount ?? 0;
  if (typeof qty !== "number" || typeof price !== "number" || typeof off !== "number") return undefined;
  return Math.round(qty * price * (1 - off / 100) * 100) / 100;
}

/** The sum of all lines; undefined while one of them cannot be told. */
export function estimateAll(lines: readonly Line[]): number | undefined {
  const parts = lines.filter((line) => line.product !== undefined || line.display_type).map(estimate);
  return parts.length === 0 || parts.includes(undefined)
    ? undefined
    : Math.round((parts as number[]).reduce((a, b) => a + b, 0) * 100) / 100;
}
