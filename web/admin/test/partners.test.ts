import { expect, it } from "vitest";
import { addressLines, shortState, webAddress } from "../src/pages/partners/partner.tsx";
import { shortCategory, stockOf } from "../src/pages/products/product.tsx";

const madrid = {
  street: "Gran Vía, 1",
  street2: null,
  zip: "28013",
  city: "Madrid",
  state: { id: 1, name: "Madrid (ES)" },
  country: { id: 1, name: "España" },
};

it("addresses are written as on a letter", () => {
  expect(addressLines(madrid)).toEqual(["Gran Vía, 1", "28013 Madrid", "España"]);
  expect(addressLines({ ...madrid, city: "Getafe", street2: "2.º B" })).toEqual([
    "Gran Vía, 1",
    "2.º B",
    "28013 Getafe (Madrid)",
    "España",
  ]);
  expect(addressLines({ ...madrid, street: null, zip: null, city: null })).toEqual(["Madrid", "España"]);
  expect(addressLines({ street: null, street2: null, zip: null, city: null, state: null, country: null })).toEqual([]);
  expect(shortState("A Coruña (ES)")).toBe("A Coruña");
});

it("only addresses of the web are links", () => {
  expect(webAddress("club.example/?a=1")).toBe("https://club.example/?a=1");
  expect(webAddress("http://club.example")).toBe("http://club.example/");
  expect(webAddress("javascript:alert(1)")).toBeUndefined();
  expect(webAddress("not a host")).toBeUndefined();
  expect(webAddress(null)).toBeUndefined();
});

it("stock is out, low, fine, or nobody's business", () => {
  expect(stockOf({ qty_available: 0, low_stock: true })).toBe("out");
  expect(stockOf({ qty_available: 3, low_stock: true })).toBe("low");
  expect(stockOf({ qty_available: 30, low_stock: false })).toBe("fine");
  expect(stockOf({ qty_available: 0, low_stock: null })).toBe("untracked");
  expect(stockOf({ qty_available: null, low_stock: null })).toBe("untracked");
  expect(shortCategory("All / Field")).toBe("Field");
});
