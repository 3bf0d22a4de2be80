import { type BaseRecord, type CrudFilter, useList, useMany, useTranslate } from "@refinedev/core";
import { keepPreviousData } from "@tanstack/react-query";
import { Select, type SelectProps, Spin } from "antd";
import { type ReactNode, useState } from "react";
import { useSettled } from "../../connection.ts";

/** A record by its name, as links have it. */
export interface Ref {
  id: number;
  name: string;
}

const pause = 250; // ms between the last key and the search
const few = 50; // records that are offered at a time

type Props<V> = Omit<SelectProps<V>, "options" | "onChange"> & {
  /** Where to search: `partners`, or what a link can be set to: `options/countries`. */
  resource: string;
  filters?: CrudFilter[];
  /** The chosen one's name, where that is known; else it is read. */
  known?: Ref | null;
};

/** Chooses a record by searching for it. */
export function RecordSelect<T extends BaseRecord & Ref>({
  onChange,
  describe,
  ...props
}: Props<number> & {
  onChange?: (id: number | undefined, record: T | undefined) => void;
  /** What is said of a record besides its name. */
  describe?: (record: T) => ReactNode;
}) {
  const { found, ...search } = useSearch<T, number>(props, props.value ? [props.value] : []);
  return (
    <Select<number>
      {...search}
      onChange={(id) => onChange?.(id ?? undefined, found(id))}
      optionRender={({ value }) => {
        const record = found(value);
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

/** Chooses several records by searching for them. */
export function RecordsSelect({ onChange, ...props }: Props<number[]> & { onChange: (ids: number[]) => void }) {
  const { found: _, ...search } = useSearch<BaseRecord & Ref, number[]>(props, props.value ?? []);
  return (
    <Select<number[]>
      mode="multiple"
      allowClear
      maxTagCount="responsive"
      autoClearSearchValue
      {...search}
      onChange={(ids) => onChange(ids)}
    />
  );
}

/** What a select needs to search with, and `found`, the offered record with an id. */
function useSearch<T extends BaseRecord & Ref, V>(
  { resource, filters = [], known, "aria-required": _, ...props }: Props<V>, // required: of an element without a role
  chosen: number[],
) {
  const t = useTranslate();
  const [typed, setTyped] = useState("");
  const [open, setOpen] = useState(false);
  const [names, setNames] = useState<ReadonlyMap<number, string>>(new Map());
  const searched = useSettled(typed, typed ? pause : 0);
  const { query, result } = useList<T>({
    resource,
    filters: [...filters, { field: "q", operator: "eq", value: searched }],
    pagination: { pageSize: few },
    queryOptions: { enabled: open, placeholderData: keepPreviousData, staleTime: 60_000 },
    liveMode: "off",
    errorNotification: false,
  });
  const unnamed = chosen.filter((id) => id !== known?.id && !names.has(id));
  const { result: read } = useMany<T>({
    resource,
    ids: unnamed,
    queryOptions: { enabled: unnamed.length > 0, staleTime: 60_000 },
    liveMode: "off",
    errorNotification: false,
  });
  const records = open ? result.data : [];
  const found = (id: unknown) => records.find((record) => record.id === id);
  const name = (id: unknown) => [known, ...read.data].find((ref) => ref?.id === id)?.name ?? names.get(Number(id));
  const waiting = query.isFetching || typed !== searched;
  return {
    showSearch: true,
    filterOption: false as const,
    searchValue: typed,
    onSearch: setTyped,
    onSelect: (id: unknown) => {
      const record = found(id);
      if (record) setNames((all) => new Map(all).set(record.id, record.name));
    },
    onOpenChange: (next: boolean) => {
      setOpen(next);
      if (!next) setTyped("");
    },
    loading: open && waiting,
    placeholder: t("records.typeToSearch"),
    popupMatchSelectWidth: 280,
    notFoundContent: waiting ? <Spin size="small" /> : query.isError ? query.error?.message : t("records.noResults"),
    labelRender: ({ value }: { value?: unknown }) => name(value) ?? "…",
    options: records.map(({ id, name }) => ({ value: id, label: name })),
    ...props,
    found,
  };
}
