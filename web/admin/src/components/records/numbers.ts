/** What is typed where a number belongs: the number, nothing, or text that is none and is kept to be corrected. */
export type Typed = number | string | null;

/** Reads `1.234,5` or `1234.5` as the locale with that separator means it; text that is no number stays text. */
export function parseNumber(text: string, separator: string): Typed {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const grouping = separator === "," ? "." : ",";
  const grouped = new RegExp(`^[-+]?[1-9]\\d{0,2}(\\${grouping}\\d{3})+(\\${separator}\\d+)?$`);
  // One separator of the other kind is that of people who type as their calculator does: 12.5 in Spanish.
  const plain = grouped.test(trimmed) ? trimmed.replaceAll(grouping, "") : trimmed;
  const number = plain.replace(/[.,]/, ".");
  return /^[-+]?(\d{1,15}(\.\d*)?|\.\d+)$/.test(number) ? Number(number) : text;
}

/** `1.5` with at least so many decimals, after the separator of a language. */
export function decimal(value: string, decimals: number, separator: string): string {
  if (value === "") return "";
  const [whole = "", part = ""] = value.split(".");
  const padded = part.padEnd(decimals, "0");
  return padded === "" ? whole : whole + separator + padded;
}
