import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { LanguageFile, Texts } from "../src/i18n/language.ts";

const files = import.meta.glob<LanguageFile>("../src/languages/*.ts", { import: "default", eager: true });

const flat = (texts: Texts, path = ""): [string, string][] =>
  Object.entries(texts).flatMap(([key, text]) =>
    typeof text === "string" ? [[path + key, text] as [string, string]] : flat(text, `${path}${key}.`),
  );

const holes = (text: string) => [...text.matchAll(/\{\{-?\s*(\w+)/g)].map(([, name]) => name).sort();

const spanish = new Map(flat((files["../src/languages/es.ts"] as LanguageFile).texts));

describe.each(Object.entries(files))("%s", (_, { locale, texts }) => {
  const own = new Map(flat(texts));

  it("says the same as the others", () => {
    expect([...own.keys()].sort()).toEqual([...spanish.keys()].sort());
    for (const [key, text] of spanish) expect(holes(own.get(key) ?? ""), key).toEqual(holes(text));
  });

  it("leaves nothing empty", () => {
    for (const [key, text] of own) expect(text.trim(), key).not.toBe("");
  });

  it("is of a locale that is known", () => {
    expect(Intl.DateTimeFormat.supportedLocalesOf(locale)).toEqual([locale]);
  });
});

describe("the code", () => {
  const src = join(import.meta.dirname, "../src");
  const code = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.tsx?$/.test(file) && !file.startsWith("languages"))
    .map((file) => readFileSync(join(src, file), "utf8"))
    .join("\n");

  it("uses texts that exist", () => {
    const used = [...code.matchAll(/\bt\(\s*"([a-zA-Z_]+(?:\.[a-zA-Z_]+)+)"/g)].map(([, key = ""]) => key);
    expect(used.length).toBeGreaterThan(100);
    const known = (key: string) => spanish.has(key) || spanish.has(`${key}_other`);
    expect(used.filter((key) => !known(key))).toEqual([]);
  });

  it("uses all of them", () => {
    // Keys are put together as well: the last part of each occurs somewhere, or the one before it does.
    const names = new Set(code.match(/[\w-]+/g));
    const unused = [...spanish.keys()].filter((key) => {
      const [last = "", above = ""] = key
        .replace(/_(one|other)$/, "")
        .split(".")
        .reverse();
      return !names.has(last) && !names.has(above);
    });
    expect(unused).toEqual([]);
  });
});
