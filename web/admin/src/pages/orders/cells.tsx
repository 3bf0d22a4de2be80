import { CheckSquareOutlined, CloseSquareOutlined, PaperClipOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import { App, Button, Typography } from "antd";
import { type ReactNode, useState } from "react";
import { Chip } from "../../components/tags.tsx";
import { useFormat } from "../../i18n/format.ts";
import { resonance } from "../../resonance.ts";
import { type Cell, cellOf } from "./fields.ts";
import { save } from "./save.ts";

/** The value of an Airtable field. */
export function CellView({ value }: { value: unknown }) {
  return <View cell={cellOf(value)} />;
}

/** Reports whether a value wants the whole width. */
export const isWide = (value: unknown): boolean => ["long", "files"].includes(cellOf(value).kind);

function View({ cell, inList = false }: { cell: Cell; inList?: boolean }): ReactNode {
  const t = useTranslate();
  const { number, date, dateTime } = useFormat();
  switch (cell.kind) {
    case "text":
      return inList ? <Chip tone="grey">{cell.text}</Chip> : cell.text;
    case "long":
      return (
        <Typography.Paragraph
          ellipsis={{ rows: 6, expandable: "collapsible", symbol: (open) => t(open ? "orders.less" : "orders.more") }}
          style={{ margin: 0, whiteSpace: "pre-line" }}
        >
          {cell.text}
        </Typography.Paragraph>
      );
    case "number":
      // Whole numbers are often names of something: 113873 is no hundred thousand.
      return Number.isInteger(cell.value)
        ? number(cell.value, { useGrouping: false })
        : number(cell.value, { minimumFractionDigits: 2, maximumFractionDigits: 6 });
    case "yes":
    case "no":
      return (
        <span style={{ display: "inline-flex", alignItems: "center", gap: 6 }}>
          {cell.kind === "yes" ? <CheckSquareOutlined aria-hidden /> : <CloseSquareOutlined aria-hidden />}
          {t(`orders.cells.${cell.kind}`)}
        </span>
      );
    case "date":
      return <time dateTime={cell.value}>{date(cell.value)}</time>;
    case "time":
      return <time dateTime={cell.value}>{dateTime(cell.value)}</time>;
    case "email":
    case "phone":
      return <a href={cell.href}>{cell.text}</a>;
    case "url":
      return (
        <a href={cell.href} target="_blank" rel="noopener noreferrer">
          {cell.text}
        </a>
      );
    case "person":
      return cell.email ? <a href={`mailto:${cell.email}`}>{cell.name}</a> : cell.name;
    case "files":
      return (
        <ul style={{ listStyle: "none", margin: 0, padding: 0, display: "grid", gap: 4 }}>
          {cell.files.map(({ name, path, size }) => (
            <li key={path + name} style={{ display: "flex", alignItems: "baseline", gap: 8 }}>
              <PaperClipOutlined aria-hidden />
              {path ? <FileButton name={name} path={path} /> : name}
              {size !== undefined && (
                <small style={{ color: "var(--ant-color-text-secondary)", whiteSpace: "nowrap" }}>
                  {number(size / 1024, { style: "unit", unit: "kilobyte", maximumFractionDigits: 0 })}
                </small>
              )}
            </li>
          ))}
        </ul>
      );
    case "records":
      return t(cell.count === 1 ? "orders.cells.record" : "orders.cells.records", { n: number(cell.count) });
    case "list":
      return (
        <span style={{ display: "flex", flexWrap: "wrap", gap: 6 }}>
          {cell.cells.map((one, i) => (
            <View key={String(i)} cell={one} inList />
          ))}
        </span>
      );
    case "error":
      return <span style={{ color: "var(--ant-color-error)" }}>{cell.text}</span>;
    default:
      return "–";
  }
}

/** Fetches a file with the token and hands it over. */
function FileButton({ name, path }: { name: string; path: string }) {
  const { message } = App.useApp();
  const [busy, setBusy] = useState(false);
  const fetchFile = async () => {
    setBusy(true);
    try {
      save(await (await resonance.client.request(path, { timeout: 0 })).blob(), name);
    } catch (error) {
      void message.error((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button type="link" size="small" loading={busy} style={{ padding: 0 }} onClick={() => void fetchFile()}>
      {name}
    </Button>
  );
}
