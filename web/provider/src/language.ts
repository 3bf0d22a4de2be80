/** A language the API has texts in. */
export type Language = "es" | "en";

/** Gives the text of a key in the present language, as `translate` of Refine's i18n provider does. */
export type Translate = (key: string, options?: Record<string, unknown>, defaultMessage?: string) => string;

/** The texts of this package: what the API cannot say because it was not reached or not asked. */
const texts = {
  "resonance.offline": {
    es: "No hay conexión con el servidor",
    en: "The server cannot be reached",
  },
  "resonance.timeout": {
    es: "El servidor tarda demasiado en responder",
    en: "The server takes too long to answer",
  },
  "resonance.answer": {
    es: "El servidor respondió algo inesperado",
    en: "The server answered something unexpected",
  },
  "resonance.signedOut": {
    es: "La sesión ha terminado; inicie sesión de nuevo",
    en: "The session is over; log in again",
  },
  "resonance.loginFailed": { es: "No se pudo iniciar sesión", en: "Could not log in" },
  "resonance.forbidden": {
    es: "No tiene permiso para esto",
    en: "You are not allowed to do this",
  },
  "resonance.readOnly": {
    es: "Esto solo se puede consultar",
    en: "This can only be read",
  },
  "resonance.filter": {
    es: "No se puede filtrar {{field}} con {{operator}}: {{reason}}",
    en: "Cannot filter {{field}} by {{operator}}: {{reason}}",
  },
  "resonance.tooMany": {
    es: "Son {{total}} filas, más de {{limit}}; use filtros o la exportación",
    en: "There are {{total}} rows, more than {{limit}}; use filters or the export",
  },
  "resonance.partial": {
    es: "{{failed}} de {{total}} no se pudieron cambiar: {{reason}}",
    en: "{{failed}} of {{total}} could not be changed: {{reason}}",
  },
  "resonance.unsupported": {
    es: "{{resource}} no admite {{action}}",
    en: "{{resource}} does not support {{action}}",
  },
} satisfies Record<string, Record<Language, string>>;

/** A key of this package's texts. */
export type TextKey = keyof typeof texts;

/** Picks the language of a locale such as `en-GB`; Spanish is what the API speaks when it knows no better. */
export function languageOf(locale: string): Language {
  return /^en\b/i.test(locale) ? "en" : "es";
}

/** The text of this package for a key, or undefined for a key that is not one of its own. */
export function ownText(key: string, language: Language, options: Record<string, unknown> = {}): string | undefined {
  if (!Object.hasOwn(texts, key)) return undefined;
  return texts[key as TextKey][language].replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(options[name] ?? ""));
}
