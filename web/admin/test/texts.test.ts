import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

interface Texts {
  [key: string]: string | Texts;
}

const src = join(import.meta.dirname, "../src");
const pairs = (readdirSync(src, { recursive: true }) as string[]).filter((file) => /(^|\/)es\.json$/.test(file));

const read = (file: string) => JSON.parse(readFileSync(join(src, file), "utf8")) as Texts;

const flat = (texts: Texts, path = ""): [string, string][] =>
  Object.entries(texts).flatMap(([key, text]) =>
    typeof text === "string" ? [[path + key, text] as [string, string]] : flat(text, `${path}${key}.`),
  );

const holes = (text: string) => [...text.matchAll(/\{\{-?\s*(\w+)/g)].map(([, name]) => name).sort();

describe.each(pairs)("%s", (file) => {
  const es = new Map(flat(read(file)));
  const en = new Map(flat(read(join(dirname(file), "en.json"))));

  it("says the same in both languages", () => {
    expect([...en.keys()].sort()).toEqual([...es.keys()].sort());
    for (const [key, text] of es) expect(holes(en.get(key) ?? ""), key).toEqual(holes(text));
  });

  it("leaves nothing empty", () => {
    for (const [key, text] of [...es, ...en]) expect(text.trim(), key).not.toBe("");
  });
});
