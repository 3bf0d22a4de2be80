import type { Locale } from "antd/es/locale";

export interface Texts {
  [key: string]: string | Texts;
}

/** All that the admin needs of a language. Adding one is adding its file to `languages`. */
export interface LanguageFile {
  /** BCP 47: how numbers, dates and lists are written. */
  locale: string;
  /** The name of the locale of Day.js, which the file imports. */
  dayjs: string;
  /** The texts of Ant Design's own components. */
  antd: Locale;
  texts: Texts;
}
