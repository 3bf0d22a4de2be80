import en from "../../admin/src/languages/en.ts";
import es from "../../admin/src/languages/es.ts";
import pt from "../../admin/src/languages/pt.ts";

export type Language = "es" | "en" | "pt";

interface Texts {
  [key: string]: string | Texts;
}

/** All texts of a language, by which the tests find what people see. */
function flat(texts: Texts, prefix = ""): [string, string][] {
  return Object.entries(texts).flatMap(([key, text]): [string, string][] =>
    typeof text === "string" ? [[prefix + key, text]] : flat(text, `${prefix}${key}.`),
  );
}

const languages = { es: new Map(flat(es.texts)), en: new Map(flat(en.texts)), pt: new Map(flat(pt.texts)) };

/** The text of a key, with its values filled in. */
export function text(language: Language, key: string, values: Record<string, string | number> = {}): string {
  const found = languages[language].get(key);
  if (found === undefined) throw new Error(`the admin has no text ${key} in ${language}`);
  return found.replace(/\{\{(\w+)[^}]*\}\}/g, (_, name) => String(values[name] ?? ""));
}
