import type { I18nProvider } from "@refinedev/core";
import type { Client } from "./client.ts";
import { ownText } from "./language.ts";

/**
 * Joins the app's i18n with the API's language: changing one changes the other. Without an app's
 * provider it knows this package's texts and gives the default message of every other key.
 */
export function i18n(client: Client, app?: I18nProvider): I18nProvider {
  return {
    translate: (key, options, defaultMessage) => {
      // Refine calls translate(key, defaultMessage) too.
      const message = typeof options === "string" ? options : defaultMessage;
      const values = typeof options === "object" ? options : undefined;
      const fallback = ownText(key, client.language, values) ?? message ?? key;
      return app ? app.translate(key, values, fallback) : fallback;
    },
    changeLocale: async (locale, options) => {
      await app?.changeLocale(locale, options);
      if (!app) client.setLanguage(locale);
    },
    getLocale: () => app?.getLocale() ?? client.locale,
  };
}
