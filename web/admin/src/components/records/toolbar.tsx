import { CloseOutlined, SearchOutlined } from "@ant-design/icons";
import { type BaseRecord, useTranslate } from "@refinedev/core";
import { Button, Grid, Input, Select, type SelectProps } from "antd";
import type { ReactNode } from "react";
import { useTyped } from "../use-typed.ts";
import { archivedFilters, archivedOf, sortOf, sortText } from "./filters.ts";
import type { Rows } from "./use-rows.ts";

/** A search that begins when the typing pauses. */
export function SearchBox({
  value,
  onSearch,
  placeholder,
}: {
  value: string;
  onSearch: (text: string) => void;
  placeholder?: string;
}) {
  const t = useTranslate();
  const { md } = Grid.useBreakpoint();
  const [text, type] = useTyped(value, (next) => onSearch(next.trim()));
  return (
    <Input
      type="search"
      prefix={<SearchOutlined aria-hidden style={{ opacity: 0.6 }} />}
      allowClear={{ clearIcon: <CloseOutlined aria-label={t("buttons.clear")} /> }}
      placeholder={placeholder ?? t("records.search")}
      aria-label={placeholder ?? t("records.search")}
      value={text}
      onChange={({ target }) => type(target.value)}
      onPressEnter={() => type(text, 0)}
      style={{ width: md ? 280 : "100%" }}
    />
  );
}

/** A select that is named for everybody: its name is also what it shows while nothing is chosen. */
export function FilterSelect<V>({ label, width = 180, ...props }: SelectProps<V> & { label: string; width?: number }) {
  const { md } = Grid.useBreakpoint();
  return (
    <Select<V>
      aria-label={label}
      placeholder={label}
      allowClear
      maxTagCount="responsive"
      popupMatchSelectWidth={false}
      {...props}
      style={{ width: md ? width : "100%", ...props.style }}
    />
  );
}

export function ArchivedFilter<T extends BaseRecord>({ rows }: { rows: Rows<T> }) {
  const t = useTranslate();
  const value = archivedOf(rows.filters);
  return (
    <FilterSelect
      label={t("records.state.label")}
      allowClear={false}
      value={value}
      onChange={(next) => rows.apply(archivedFilters(next))}
      options={(["active", "archived", "all"] as const).map((value) => ({ value, label: t(`records.state.${value}`) }))}
      width={170}
    />
  );
}

/** The line above the rows: search, filters, and the order of what has no heads of columns. */
export function Toolbar<T extends BaseRecord>({
  rows,
  sorts,
  placeholder,
  children,
  end,
}: {
  rows: Rows<T>;
  /** `-name` and its text. Where there is a table, its heads do this. */
  sorts?: false | { value: string; label: string }[];
  placeholder?: string;
  children?: ReactNode;
  end?: ReactNode;
}) {
  const t = useTranslate();
  const { md } = Grid.useBreakpoint();
  return (
    <search style={{ display: "flex", flexWrap: "wrap", gap: 8, marginBlockEnd: 16, alignItems: "center" }}>
      <SearchBox
        value={String(rows.value("q") ?? "")}
        onSearch={(text) => text !== (rows.value("q") ?? "") && rows.set("q", "eq", text)}
        placeholder={placeholder}
      />
      <div
        style={
          md
            ? { display: "contents" }
            : { display: "grid", width: "100%", gridTemplateColumns: "repeat(2, minmax(0, 1fr))", gap: 8 }
        }
      >
        {children}
        {sorts && (
          <FilterSelect
            label={t("records.sort")}
            allowClear={false}
            value={sortText(rows.sort)}
            onChange={(text) => rows.sortBy(sortOf(text))}
            options={sorts}
            width={170}
          />
        )}
      </div>
      {rows.filters.length > 0 && (
        <Button type="text" icon={<CloseOutlined />} onClick={rows.clear}>
          {t("records.clear")}
        </Button>
      )}
      {end && <div style={{ marginInlineStart: "auto" }}>{end}</div>}
    </search>
  );
}
