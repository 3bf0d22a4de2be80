import type { HttpError } from "@refinedev/core";
import { describe, expect, it } from "vitest";
import { changes, given } from "../src/components/records/changes.ts";
import { type Path, placeErrors } from "../src/components/records/errors.ts";
import {
  archivedFilters,
  archivedOf,
  filterIds,
  filterOf,
  sortOf,
  sortText,
} from "../src/components/records/filters.ts";
import { decimal } from "../src/components/records/numbers.ts";

describe("changes", () => {
  it("are what differs, and null where nothing is left", () => {
    const before = { name: "Silla", barcode: "84", price: 10, uom: undefined as number | undefined };
    expect(changes(before, { ...before })).toEqual({});
    expect(changes(before, { ...before, barcode: " ", price: 0 })).toEqual({ barcode: null, price: 0 });
    expect(changes(before, { ...before, uom: 3 })).toEqual({ uom: 3 });
  });

  it("see no difference between nothing and nothing", () => {
    expect(changes({ a: null, b: undefined, c: "" } as object, { a: "", b: null, c: undefined } as object)).toEqual({});
  });

  it("of a new record are what there is", () => {
    expect(given({ name: "x", email: "", ok: false, n: 0, m: null })).toEqual({ name: "x", ok: false, n: 0 });
  });
});

describe("errors of an answer", () => {
  const has = (path: Path) => ["barcode", "partner", "lines.0.qty"].includes(path.join("."));
  const error = (errors?: HttpError["errors"]): HttpError => ({
    message: "Otro producto tiene ya ese código",
    statusCode: 409,
    ...(errors && { errors }),
  });

  it("go to their fields, in lines too, and a link's by its other name", () => {
    const { fields, rest } = placeErrors(
      error({ barcode: "ya lo tiene otro", "lines.0.qty": ["debe ser un número"], partner_id: "falta" }),
      has,
    );
    expect(fields).toEqual([
      { name: ["barcode"], errors: ["Ya lo tiene otro"] },
      { name: ["lines", 0, "qty"], errors: ["Debe ser un número"] },
      { name: ["partner"], errors: ["Falta"] },
    ]);
    expect(rest).toEqual([]);
  });

  it("stand above when no field is theirs", () => {
    expect(placeErrors(error({ barcode: "mal", margin: "no" }), has).rest).toEqual(["margin: no"]);
    expect(placeErrors(error({ margin: "no" }), has)).toEqual({ fields: [], rest: [error().message] });
    expect(placeErrors(error(), has).rest).toEqual([error().message]);
  });
});

describe("filters", () => {
  it("of several ids come from lists and from addresses", () => {
    expect(filterIds([{ field: "category", operator: "in", value: ["2", 3, "x"] }], "category")).toEqual([2, 3]);
    expect(filterIds([{ field: "category", operator: "in", value: "4,5" }], "category")).toEqual([4, 5]);
    expect(filterIds([{ field: "uom", operator: "in", value: [1] }], "category")).toEqual([]);
  });

  it("without a value are none", () => {
    for (const nothing of ["", null, []]) expect(filterOf("q", "eq", nothing)).toMatchObject({ value: undefined });
    expect(filterOf("active", "eq", "false")).toMatchObject({ value: "false" });
  });

  it("of what is archived are read as they are made", () => {
    for (const archived of ["active", "archived", "all"] as const) {
      const made = archivedFilters(archived).filter((f) => f.value !== undefined);
      expect(archivedOf(made)).toBe(archived);
    }
  });

  it("sorts are written and read", () => {
    for (const text of ["name", "-list_price"]) expect(sortText(sortOf(text))).toBe(text);
  });
});

it("numbers have at least so many decimals, and as many as they are given", () => {
  expect(decimal("1", 2, ",")).toBe("1,00");
  expect(decimal("233.9", 2, ".")).toBe("233.90");
  expect(decimal("0.125", 2, ",")).toBe("0,125");
  expect(decimal("7", 0, ",")).toBe("7");
  expect(decimal("", 2, ",")).toBe("");
});
