/** A file that is attached to a record. */
export interface Attachment {
  name: string;
  /** Where it can be read with the token: a path of the API's, or "" for none. */
  path: string;
  size?: number;
}

/** A value of a cell as it is to be shown. The API gives cells as Airtable's does, without the types of their fields. */
export type Cell =
  | { kind: "text" | "long"; text: string }
  | { kind: "number"; value: number }
  | { kind: "yes" | "no" }
  | { kind: "date" | "time"; value: string }
  | { kind: "email" | "url" | "phone"; text: string; href: string }
  | { kind: "person"; name: string; email?: string }
  | { kind: "files"; files: Attachment[] }
  | { kind: "records"; count: number }
  | { kind: "list"; cells: Cell[] }
  | { kind: "error"; text: string }
  | { kind: "none" };

const none: Cell = { kind: "none" };

/** Tells by its looks what a value is. Addresses are only links where they lead to the web, a mailbox or a telephone. */
export function cellOf(value: unknown): Cell {
  switch (typeof value) {
    case "boolean":
      return { kind: value ? "yes" : "no" };
    case "number":
      return { kind: "number", value };
    case "string":
      return ofText(value);
    case "object":
      if (value === null) return none;
      return Array.isArray(value) ? ofList(value) : ofObject(value as Record<string, unknown>);
    default:
      return none;
  }
}

function ofText(value: string): Cell {
  const text = value.trim();
  if (text === "") return none;
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))) return { kind: "date", value: text };
  if (/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(text) && !Number.isNaN(Date.parse(text)))
    return { kind: "time", value: text };
  if (/^[^\s@<>"]+@[^\s@<>"]+\.[^\s@<>"]+$/.test(text)) return { kind: "email", text, href: `mailto:${text}` };
  const href = webAddress(text);
  if (href) return { kind: "url", text: text.replace(/^https?:\/\/(www\.)?/i, "").replace(/\/$/, ""), href };
  if (/^\+?[\d][\d ().-]{7,20}$/.test(text) && /[ +]/.test(text))
    return { kind: "phone", text, href: `tel:${text.replace(/[^\d+]/g, "")}` };
  return { kind: text.includes("\n") || text.length > 120 ? "long" : "text", text };
}

/** An address of the web, written out; undefined for anything else. */
function webAddress(text: unknown): string | undefined {
  if (typeof text !== "string" || !/^https?:\/\/\S+$/i.test(text)) return undefined;
  try {
    return new URL(text).href;
  } catch {
    return undefined;
  }
}

function ofList(values: unknown[]): Cell {
  if (values.length === 0) return none;
  if (values.every(isFile)) {
    const files = values.map(({ filename, url, size }) => ({
      name: String(filename),
      path: typeof url === "string" && /^\/api\/orders\/[\w-]+\/files\/\w+$/.test(url) ? url : "",
      ...(typeof size === "number" ? { size } : {}),
    }));
    return { kind: "files", files };
  }
  if (values.every((value) => typeof value === "string" && /^rec[A-Za-z0-9]{14}$/.test(value)))
    return { kind: "records", count: values.length };
  const cells = values.map(cellOf).filter(({ kind }) => kind !== "none");
  return cells.length > 0 ? { kind: "list", cells } : none;
}

const isFile = (value: unknown): value is { filename: unknown; url: unknown; size?: unknown } =>
  typeof value === "object" && value !== null && "filename" in value && "url" in value;

function ofObject(value: Record<string, unknown>): Cell {
  if (typeof value.error === "string") return { kind: "error", text: value.error };
  if (typeof value.specialValue === "string") return { kind: "error", text: value.specialValue };
  if (isFile(value)) return ofList([value]);
  const { email, name, label, url, text } = value;
  if (typeof url === "string") {
    const cell = ofText(url);
    return cell.kind === "url" && typeof label === "string" ? { ...cell, text: label } : cell;
  }
  if (typeof name === "string" || typeof email === "string")
    return { kind: "person", name: String(name ?? email), ...(typeof email === "string" ? { email } : {}) };
  if (typeof text === "string") return ofText(text); // a barcode
  if (typeof value.value === "string") return ofText(value.value); // of an AI
  return { kind: "text", text: JSON.stringify(value) };
}
