import type { I18nProvider } from "@refinedev/core";
import i18next, { type TOptions } from "i18next";
import { initReactI18next } from "react-i18next";
import { Preference } from "../preferences.ts";
import en from "./en.json";
import es from "./es.json";

export type Language = "es" | "en";

export const language = new Preference<Language>("language", ["es", "en"], () =>
  /^en\b/i.test(navigator.language) ? "en" : "es",
);

interface Texts {
  [key: string]: string | Texts;
}

void i18next.use(initReactI18next).init({
  lng: language.get(),
  fallbackLng: "es",
  initAsync: false,
  interpolation: { escapeValue: false }, // React does
  resources: { es: { translation: es }, en: { translation: en } },
  returnNull: false,
});

/** Adds the texts of a page, which comes with its own chunk: `{"orders": {"title": "…"}}`. */
export function addTexts(spanish: Texts, english: Texts): void {
  i18next.addResourceBundle("es", "translation", spanish, true, true);
  i18next.addResourceBundle("en", "translation", english, true, true);
}

const mark = () => {
  document.documentElement.lang = language.get();
};

mark();
language.listen(() => {
  void i18next.changeLanguage(language.get());
  mark();
});

export const i18nProvider: I18nProvider = {
  translate: (key, options?: TOptions, otherwise?: string) =>
    String(i18next.t(key, { ...options, ...(otherwise === undefined ? {} : { defaultValue: otherwise }) })),
  changeLocale: async (locale) => language.set(locale === "en" ? "en" : "es"),
  getLocale: () => language.get(),
};
