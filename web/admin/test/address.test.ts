import { expect, it } from "vitest";
import { readAddress, writeAddress } from "../src/components/records/address.ts";

const initial = { field: "name", order: "asc" as const };
const names = ["q", "active", "category", "date_order", "partner"];
const read = (search: string) => readAddress(new URLSearchParams(search), names, initial);

it.each([
  "q=ball&category=3%2C5&sort=-list_price&page=2",
  "active=all",
  "active=false&partner=7",
  "date_order_gte=2026-11-01&date_order_lt=2026-12-01",
  "",
])("writes %j as it was read", (search) => {
  expect(writeAddress(read(search), initial).toString()).toBe(search);
});

it("leaves out what makes no sense", () => {
  expect(read("page=-3&sort=Name;drop&password=1&q=%20&category=")).toEqual({ filters: [], sort: initial, page: 1 });
});
