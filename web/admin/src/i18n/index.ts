import type { I18nProvider } from "@refinedev/core";
import dayjs from "dayjs";
import i18next, { type TOptions } from "i18next";
import { useSyncExternalStore } from "react";
import { initReactI18next } from "react-i18next";
import { Preference } from "../preferences.ts";
import type { LanguageFile } from "./language.ts";

const files = import.meta.glob<LanguageFile>("../languages/*.ts", { import: "default" });
const codeOf = (path: string) => path.replace(/^.*\/|\.ts$/g, "");

/** The code of a language, such as `es`: the name of its file. */
export type Language = string;

/** The languages there are, each with its own name for itself. */
export const languages = Object.keys(files)
  .map(codeOf)
  .map((code) => ({ code, name: capitalized(new Intl.DisplayNames([code], { type: "language" }).of(code) ?? code) }));

/** The chosen language; that of the browser until somebody chooses. */
export const language = new Preference<Language>(
  "language",
  languages.map(({ code }) => code),
  () => languages.find(({ code }) => navigator.language.toLowerCase().split("-")[0] === code)?.code ?? "es",
);

const loaded = new Map<Language, LanguageFile>();
const listeners = new Set<() => void>();
let current: Language = language.get();

async function load(code: Language): Promise<void> {
  const path = Object.keys(files).find((one) => codeOf(one) === code);
  const file = path && !loaded.has(code) ? await files[path]?.() : undefined;
  if (!file) return;
  loaded.set(code, file);
  i18next.addResourceBundle(code, "translation", file.texts);
}

/** Loads every language, for what is found by its name in any. */
export const loadAll = () => Promise.all(languages.map(({ code }) => load(code)));

/** Shows the chosen language, once its texts are here. */
async function show(): Promise<void> {
  const code = language.get();
  await load(code);
  const file = loaded.get(code);
  if (!file || code !== language.get()) return;
  current = code;
  dayjs.locale(file.dayjs);
  document.documentElement.lang = code;
  await i18next.changeLanguage(code);
  for (const listener of [...listeners]) listener();
}

void i18next.use(initReactI18next).init({
  lng: current,
  fallbackLng: false,
  initAsync: false,
  interpolation: { escapeValue: false }, // React does
  resources: {},
  returnNull: false,
});

/** Resolves when there are texts. */
export const ready = show();
language.listen(() => void show());

function listen(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** The language that is shown. */
export const useLanguage = (): Language => useSyncExternalStore(listen, () => current);

/** The file of a language that has been loaded. */
export function fileOf(code: Language): LanguageFile {
  const file = loaded.get(code);
  if (!file) throw new Error(`the language ${code} is not loaded`);
  return file;
}

export const i18nProvider: I18nProvider = {
  translate: (key, options?: TOptions, otherwise?: string) =>
    String(i18next.t(key, { ...options, ...(otherwise === undefined ? {} : { defaultValue: otherwise }) })),
  changeLocale: async (locale) => language.set(locale),
  getLocale: () => current,
};

function capitalized(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}
