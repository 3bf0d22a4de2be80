import { describe, expect, it } from "vitest";
import { parseNumber } from "../src/components/records/numbers.ts";

describe("parseNumber", () => {
  it.each([
    ["1.234,5", ",", 1234.5],
    ["12,5", ",", 12.5],
    ["12.5", ",", 12.5],
    ["0.125", ",", 0.125],
    ["1,234.5", ".", 1234.5],
    ["-5", ".", -5],
    ["1.", ".", 1],
    [" ", ".", null],
  ])("reads %j with %j", (text, separator, value) => expect(parseNumber(text, separator)).toBe(value));

  it.each(["abc", "1.2.3", "1,23,4", "1e5", "--1", "."])("keeps %j as it was typed", (text) =>
    expect(parseNumber(text, ".")).toBe(text),
  );
});
