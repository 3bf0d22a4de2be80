import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export type Language = "es" | "en";

interface Texts {
  [key: string]: string | Texts;
}

const source = join(import.meta.dirname, "../../admin/src");

/** All texts of the admin in one language, by which the tests find what people see. */
function read(language: Language): Map<string, string> {
  const all = new Map<string, string>();
  const add = (prefix: string, texts: Texts) => {
    for (const [key, text] of Object.entries(texts)) {
      if (typeof text === "string") all.set(prefix + key, text);
      else add(`${prefix}${key}.`, text);
    }
  };
  for (const file of readdirSync(source, { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(`${language}.json`)) add("", JSON.parse(readFileSync(join(source, file), "utf8")));
  }
  return all;
}

const languages = { es: read("es"), en: read("en") };

/** The text of a key, with its values filled in. */
export function text(language: Language, key: string, values: Record<string, string | number> = {}): string {
  const found = languages[language].get(key);
  if (found === undefined) throw new Error(`the admin has no text ${key} in ${language}`);
  return found.replace(/\{\{(\w+)[^}]*\}\}/g, (_, name) => String(values[name] ?? ""));
}
