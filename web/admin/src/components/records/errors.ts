import type { HttpError } from "@refinedev/core";

/** Where a form has a field: `lines.0.qty` is `["lines", 0, "qty"]`. */
export type Path = (string | number)[];

const pathOf = (name: string): Path => name.split(".").map((part) => (/^\d+$/.test(part) ? Number(part) : part));

/**
 * Sorts the errors of an answer into those of fields that the form has, and the rest as text. `has` knows its fields.
 * A link's error may be named `<link>_id`.
 */
export function placeErrors(
  error: HttpError,
  has: (path: Path) => boolean,
): { fields: { name: Path; errors: string[] }[]; rest: string[] } {
  const fields: { name: Path; errors: string[] }[] = [];
  const rest: string[] = [];
  for (const [name, value] of Object.entries(error.errors ?? {})) {
    const texts = (Array.isArray(value) ? value : [value]).map((text) => (typeof text === "string" ? text : name));
    const path = [name, name.replace(/_id$/, "")].map(pathOf).find(has);
    if (path) fields.push({ name: path, errors: texts.map(sentence) });
    else rest.push(...texts.map((text) => `${name}: ${text}`));
  }
  return { fields, rest: fields.length === 0 ? [error.message] : rest };
}

/** The API names the field and goes on in lower case. */
const sentence = (text: string) => text.charAt(0).toLocaleUpperCase() + text.slice(1);
