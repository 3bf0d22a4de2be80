import { type BaseRecord, useList, useTranslate } from "@refinedev/core";
import { keepPreviousData } from "@tanstack/react-query";
import { Select, type SelectProps, Spin } from "antd";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { type Ref, useLinks } from "./links.ts";
import "./texts.ts";

/** Is `name` what was typed? Case and accents do not matter. */
export function fits(name: string, typed: string): boolean {
  const plain = (text: string) => text.normalize("NFD").replace(/\p{M}/gu, "").toLocaleLowerCase();
  return plain(name).includes(plain(typed.trim()));
}

/** Chooses among what a link leads to: one id, or several. */
export function LinkSelect<V extends number | number[]>({
  resource,
  field,
  where,
  known,
  disabled,
  ...props
}: Omit<SelectProps<V>, "options"> & {
  resource: string;
  field: string;
  where?: Record<string, string>;
  /** What is chosen already, by name: it may be used by nothing else. */
  known?: Ref | null;
}) {
  const t = useTranslate();
  const { data = [], isLoading } = useLinks(resource, field, where, !disabled);
  const options = useMemo(() => {
    const all = known && !data.some(({ id }) => id === known.id) ? [known, ...data] : data;
    return all.map(({ id, name }) => ({ value: id, label: name }));
  }, [data, known]);
  return (
    <Select<V>
      showSearch
      allowClear
      maxTagCount="responsive"
      popupMatchSelectWidth={false}
      loading={isLoading}
      disabled={disabled}
      notFoundContent={isLoading ? <Spin size="small" /> : t("records.noResults")}
      filterOption={(typed, option) => fits(String(option?.label ?? ""), typed)}
      {...props}
      options={options as never}
    />
  );
}

const pause = 250; // ms

/** Chooses a record of a resource by searching for it. */
export function RecordSelect<T extends BaseRecord & Ref>({
  resource,
  known,
  value,
  onChange,
  describe,
  "aria-required": _, // Select puts it on an element without a role, where it means nothing
  ...props
}: Omit<SelectProps<number>, "options" | "onChange"> & {
  resource: string;
  /** The chosen one's name, until it is read. */
  known?: Ref | null;
  onChange?: (id: number | undefined, record: T | undefined) => void;
  /** What is said of a record besides its name. */
  describe?: (record: T) => ReactNode;
}) {
  const t = useTranslate();
  const [typed, setTyped] = useState("");
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState<Ref | null>(null);
  const searched = usePaused(typed);
  const { query, result } = useList<T>({
    resource,
    filters: [{ field: "q", operator: "eq", value: searched }],
    pagination: { pageSize: 20 },
    queryOptions: { enabled: open, placeholderData: keepPreviousData, staleTime: 60_000 },
    liveMode: "off",
    errorNotification: false,
  });
  const records = open ? result.data : [];
  const name = [chosen, known].find((ref) => ref?.id === value)?.name;
  const waiting = query.isFetching || typed !== searched;
  return (
    <Select<number>
      showSearch
      filterOption={false}
      searchValue={typed}
      onSearch={setTyped}
      onOpenChange={(next) => {
        setOpen(next);
        if (!next) setTyped("");
      }}
      loading={open && waiting}
      placeholder={t("records.typeToSearch")}
      popupMatchSelectWidth={280}
      notFoundContent={waiting ? <Spin size="small" /> : query.isError ? query.error?.message : t("records.noResults")}
      {...props}
      value={value}
      labelRender={({ label }) => name ?? label}
      onChange={(id) => {
        const record = records.find((r) => r.id === id);
        setChosen(record ? { id: record.id, name: record.name } : null);
        onChange?.(id ?? undefined, record);
      }}
      options={records.map((record) => ({ value: record.id, label: record.name }))}
      optionRender={({ value }) => {
        const record = records.find((r) => r.id === value);
        return (
          record && (
            <div style={{ whiteSpace: "normal", lineHeight: 1.35 }}>
              {record.name}
              {describe && (
                <div style={{ fontSize: 12.5, color: "var(--ant-color-text-secondary)" }}>{describe(record)}</div>
              )}
            </div>
          )
        );
      }}
    />
  );
}

function usePaused(value: string): string {
  const [paused, setPaused] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setPaused(value), value ? pause : 0);
    return () => clearTimeout(timer);
  }, [value]);
  return paused;
}
