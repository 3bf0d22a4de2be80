import { CloseOutlined, FilterOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import { Button, Checkbox, DatePicker, Drawer, Grid, Input, Space, theme } from "antd";
import dayjs from "dayjs";
import { type ReactNode, useId, useState } from "react";
import { NumberInput } from "../../components/records/number-input.tsx";
import { PriorityTag, StatusTag, useOrderTexts } from "../../components/tags.tsx";
import { useTyped } from "../../components/use-typed.ts";
import { useFormat } from "../../i18n/format.ts";
import type { Field } from "./own.ts";
import { Pop } from "./pop.tsx";
import { choices, crossed, type FilterName, type Filters, listOf, other } from "./query.ts";
import type { UsedQuery } from "./use-query.ts";

interface Props {
  filters: Filters;
  filter: (more: Filters) => void;
}

export function ChoiceFilter({ field, filters, filter }: Props & { field: Field }) {
  const t = useTranslate();
  const Tag = field === "status" ? StatusTag : PriorityTag;
  return (
    <Checkbox.Group
      aria-label={t(`orders.fields.${field}`)}
      value={listOf(filters[field])}
      onChange={(values) => filter({ [field]: values.join(",") })}
      style={{ display: "grid", gap: 8 }}
    >
      {choices[field].map((value) => (
        <Checkbox key={value} value={value}>
          {value === other ? t(`orders.filters.other.${field}`) : <Tag value={value} />}
        </Checkbox>
      ))}
    </Checkbox.Group>
  );
}

export function CustomerFilter({ filters, filter, autoFocus }: Props & { autoFocus?: boolean }) {
  const t = useTranslate();
  const [typed, type] = useTyped(filters.customer ?? "", (customer) => filter({ customer }));
  return (
    <Input
      aria-label={t("orders.fields.customer")}
      placeholder={t("orders.filters.contains")}
      allowClear={{ clearIcon: <CloseOutlined aria-label={t("buttons.clear")} /> }}
      autoFocus={autoFocus}
      maxLength={200}
      value={typed}
      onChange={({ target }) => type(target.value)}
      onPressEnter={() => type(typed, 0)}
    />
  );
}

export function AmountFilter({ filters, filter }: Props) {
  const t = useTranslate();
  const bound = (name: "amount_gte" | "amount_lte", label: string) => (
    <Bound key={name} label={label} value={filters[name]} tell={(value) => filter({ [name]: value })} />
  );
  return (
    <div style={{ display: "grid", gridTemplateColumns: "1fr auto 1fr", gap: 8, alignItems: "start" }}>
      {bound("amount_gte", t("orders.filters.least"))}
      <span aria-hidden style={{ lineHeight: "36px" }}>
        –
      </span>
      {bound("amount_lte", t("orders.filters.most"))}
      {crossed(filters) === "amount" && (
        <div role="alert" style={{ gridColumn: "1 / -1", fontSize: 13 }}>
          {t("orders.filters.crossed")}
        </div>
      )}
    </div>
  );
}

function Bound({ label, value, tell }: { label: string; value?: string; tell: (value: string) => void }) {
  const t = useTranslate();
  const [typed, type] = useTyped(value ?? "", tell);
  const [wrong, setWrong] = useState<string>(); // what is typed and no number: no filter is made of it
  const error = useId();
  return (
    <div>
      <NumberInput
        aria-label={label}
        aria-invalid={wrong !== undefined}
        aria-describedby={wrong === undefined ? undefined : error}
        placeholder={label}
        status={wrong === undefined ? "" : "error"}
        value={wrong ?? (typed === "" ? null : Number(typed))}
        onChange={(next) => {
          setWrong(typeof next === "string" ? next : undefined);
          if (typeof next !== "string") type(next === null ? "" : String(next));
        }}
      />
      {wrong !== undefined && (
        <div id={error} role="alert" style={{ color: "var(--ant-color-error)", fontSize: 13 }}>
          {t("records.notNumber")}
        </div>
      )}
    </div>
  );
}

const day = (value: string | undefined) => (value ? dayjs(value) : null);
const written = (date: dayjs.Dayjs | null) => date?.format("YYYY-MM-DD") ?? "";

export function DateFilter({ filters, filter }: Props) {
  const t = useTranslate();
  const { sm } = Grid.useBreakpoint();
  const { start_date: from, end_date: to } = filters;
  const today = dayjs();
  const yesterday = today.subtract(1, "day");
  const lastMonth = today.subtract(1, "month");
  const quarter = today.startOf("month").subtract(today.month() % 3, "month");
  const periods: [string, dayjs.Dayjs, dayjs.Dayjs][] = [
    ["today", today, today],
    ["yesterday", yesterday, yesterday],
    ["week", today.subtract(6, "day"), today],
    ["days", today.subtract(29, "day"), today],
    ["month", today.startOf("month"), today],
    ["lastMonth", lastMonth.startOf("month"), lastMonth.endOf("month")],
    ["quarter", quarter, today],
    ["year", today.startOf("year"), today],
  ];
  const picker = (name: "start_date" | "end_date", label: string) => (
    <DatePicker
      aria-label={label}
      placeholder={label}
      value={day(filters[name])}
      format="D MMM YYYY"
      inputReadOnly={!sm}
      disabledDate={(date) =>
        name === "start_date"
          ? Boolean(to) && written(date) > String(to)
          : Boolean(from) && written(date) < String(from)
      }
      onChange={(date) => filter({ [name]: written(date) })}
      style={{ width: "100%" }}
    />
  );
  return (
    <div style={{ display: "grid", gap: 10 }}>
      <div style={{ display: "grid", gridTemplateColumns: "1fr 1fr", gap: 8 }}>
        {picker("start_date", t("orders.filters.from"))}
        {picker("end_date", t("orders.filters.to"))}
      </div>
      <Space size={[6, 6]} wrap>
        {periods.map(([name, start, end]) => {
          const chosen = from === written(start) && to === written(end);
          return (
            <Button
              key={name}
              size="small"
              type={chosen ? "primary" : "default"}
              aria-pressed={chosen}
              onClick={() => filter({ start_date: written(start), end_date: written(end) })}
            >
              {t(`orders.filters.periods.${name}`)}
            </Button>
          );
        })}
      </Space>
    </div>
  );
}

/** What drops down from the head of a column. */
export function HeadFilter({
  clear,
  children,
  width = 220,
}: {
  clear?: () => void;
  children: ReactNode;
  width?: number;
}) {
  const t = useTranslate();
  return (
    <div style={{ padding: 12, width, display: "grid", gap: 10 }}>
      {children}
      {clear && (
        <Button size="small" type="text" onClick={clear} style={{ justifySelf: "end" }}>
          {t("buttons.clear")}
        </Button>
      )}
    </div>
  );
}

/** All filters in one place: over the page, or in a drawer on a phone. */
export function FilterButton({ query, children }: { query: UsedQuery; children?: ReactNode }) {
  const t = useTranslate();
  const { md } = Grid.useBreakpoint();
  const [open, setOpen] = useState(false);
  const { q: _, ...filters } = query.filters;
  const count = new Set(Object.keys(filters).map((name) => name.replace(/^(start|end)_|_[gl]te$/, ""))).size;
  const panel = (
    <div style={{ display: "grid", gap: 18, width: md ? 360 : undefined, padding: md ? 4 : 0 }}>
      {children}
      <div style={{ display: "grid", gridTemplateColumns: "1fr 1fr", gap: 18 }}>
        <Group name={t("orders.fields.status")}>
          <ChoiceFilter field="status" {...query} />
        </Group>
        <Group name={t("orders.fields.priority")}>
          <ChoiceFilter field="priority" {...query} />
        </Group>
      </div>
      <Group name={t("orders.fields.customer")}>
        <CustomerFilter {...query} />
      </Group>
      <Group name={t("orders.fields.order_date")}>
        <DateFilter {...query} />
      </Group>
      <Group name={t("orders.fields.amount")}>
        <AmountFilter {...query} />
      </Group>
    </div>
  );
  const button = (
    <Button
      icon={<FilterOutlined />}
      aria-haspopup="dialog"
      aria-expanded={open}
      onClick={md ? undefined : () => setOpen(true)}
    >
      {t("orders.filters.title")}
      {count > 0 && <span className="orders-count">{count}</span>}
    </Button>
  );
  if (md)
    return (
      <Pop
        label={t("orders.filters.title")}
        placement="bottomLeft"
        open={open}
        onOpen={setOpen}
        content={<div style={{ maxHeight: "70vh", overflow: "auto", marginInline: -4 }}>{panel}</div>}
      >
        {button}
      </Pop>
    );
  return (
    <>
      {button}
      <Drawer
        open={open}
        onClose={() => setOpen(false)}
        placement="bottom"
        height="88dvh"
        title={t("orders.filters.title")}
        extra={
          <Space>
            {count > 0 && <Button onClick={query.clear}>{t("buttons.clear")}</Button>}
            <Button type="primary" onClick={() => setOpen(false)}>
              {t("orders.filters.show")}
            </Button>
          </Space>
        }
      >
        {panel}
      </Drawer>
    </>
  );
}

function Group({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <div aria-hidden style={{ fontWeight: 500, marginBlockEnd: 8 }}>
        {name}
      </div>
      {children}
    </div>
  );
}

/** The filters that are at work, each with a way to take it away. */
export function FilterChips({ query: { filters, filter, clear } }: { query: UsedQuery }) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { date, number, list } = useFormat();
  const names = useOrderTexts();
  const values = (field: Field) =>
    list(listOf(filters[field]).map((v) => (v === other ? t(`orders.filters.other.${field}`) : names[field](v))));
  const range = (from: string | undefined, to: string | undefined) =>
    from && to && from === to ? from : t(`orders.filters.range.${from ? (to ? "both" : "from") : "to"}`, { from, to });
  const { q, status, priority, customer, start_date, end_date, amount_gte, amount_lte } = filters;
  const amount = (value: string | undefined) => value && number(Number(value));
  const chips: [FilterName[], string, string | undefined][] = [
    [["q"], t("orders.filters.search"), q && `“${q}”`],
    [["status"], t("orders.fields.status"), status && values("status")],
    [["priority"], t("orders.fields.priority"), priority && values("priority")],
    [["customer"], t("orders.fields.customer"), customer && `“${customer}”`],
    [
      ["start_date", "end_date"],
      t("orders.fields.order_date"),
      start_date || end_date ? range(start_date && date(start_date), end_date && date(end_date)) : undefined,
    ],
    [
      ["amount_gte", "amount_lte"],
      t("orders.fields.amount"),
      amount_gte || amount_lte ? range(amount(amount_gte), amount(amount_lte)) : undefined,
    ],
  ];
  const active = chips.filter(([, , value]) => value);
  if (active.length === 0) return null;
  return (
    <ul
      aria-label={t("orders.filters.active")}
      style={{ display: "flex", flexWrap: "wrap", gap: 8, listStyle: "none", margin: "0 0 12px", padding: 0 }}
    >
      {active.map(([remove, name, value]) => (
        <li
          key={name}
          style={{
            display: "inline-flex",
            alignItems: "center",
            maxWidth: "100%",
            paddingInlineStart: 12,
            borderRadius: 999,
            border: `1px solid ${token.colorBorderSecondary}`,
            background: token.colorBgContainer,
            fontSize: 13,
          }}
        >
          <span style={{ overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" }}>
            <span style={{ color: token.colorTextSecondary }}>{name}: </span>
            {value}
          </span>
          <Button
            type="text"
            size="small"
            shape="circle"
            icon={<CloseOutlined style={{ fontSize: 11 }} />}
            aria-label={t("orders.filters.remove", { name })}
            onClick={() => filter(Object.fromEntries(remove.map((field) => [field, ""])))}
            style={{ marginInline: 3 }}
          />
        </li>
      ))}
      <li>
        <Button type="link" size="small" onClick={clear} style={{ height: 26 }}>
          {t("orders.filters.clear")}
        </Button>
      </li>
    </ul>
  );
}
