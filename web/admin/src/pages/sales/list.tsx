import { PlusOutlined } from "@ant-design/icons";
import { useNavigation, useTranslate } from "@refinedev/core";
import type { Sale } from "@resonance/refine";
import { Button, DatePicker, Grid } from "antd";
import dayjs from "dayjs";
import { Link } from "react-router";
import { Page } from "../../components/page.tsx";
import { useMay } from "../../components/records/archive.tsx";
import { filterOf } from "../../components/records/filters.ts";
import { CardLink, RowCount, RowList } from "../../components/records/row-list.tsx";
import { RecordSelect } from "../../components/records/selects.tsx";
import { FilterSelect, Toolbar } from "../../components/records/toolbar.tsx";
import { type Rows, useRows } from "../../components/records/use-rows.ts";
import { Empty } from "../../components/states.tsx";
import { useFormat } from "../../i18n/format.ts";
import { Summary } from "./chart.tsx";
import { SaleTag, type State, states } from "./sale.tsx";

export default function SaleList() {
  const t = useTranslate();
  const { money, date } = useFormat();
  const { showUrl } = useNavigation();
  const { md } = Grid.useBreakpoint();
  const may = useMay("sales", "create");
  const rows = useRows<Sale>({
    sort: { field: "date_order", order: "desc" },
    filters: ["state", "partner", "invoice_status", "date_order"],
  });
  const value = rows.value("state", "in");
  const chosen = (Array.isArray(value) ? value : []).filter((state): state is State => states.includes(state));

  const create = may && (
    <Link to="/sales/create">
      <Button type="primary" icon={<PlusOutlined />} tabIndex={-1}>
        {t("sales.new")}
      </Button>
    </Link>
  );
  return (
    <Page title={t("sales.title")} subtitle={<RowCount rows={rows} />} actions={create}>
      <Summary
        filters={rows.filters.filter((f) => !("field" in f && f.field === "state"))}
        chosen={chosen}
        onChoose={(next) => rows.set("state", "in", next)}
      />
      <Toolbar
        rows={rows}
        placeholder={t("sales.search")}
        sorts={
          !md && [
            { value: "-date_order", label: t("sales.sort.new") },
            { value: "date_order", label: t("sales.sort.old") },
            { value: "-amount_total", label: t("sales.sort.high") },
            { value: "amount_total", label: t("sales.sort.low") },
          ]
        }
      >
        <CustomerFilter rows={rows} />
        <FilterSelect
          label={t("sales.fields.invoice_status")}
          value={rows.value("invoice_status") as string | undefined}
          onChange={(next) => rows.set("invoice_status", "eq", next)}
          options={["to invoice", "invoiced", "no"].map((value) => ({ value, label: t(`sales.invoices.${value}`) }))}
        />
        <Dates rows={rows} />
      </Toolbar>
      <RowList<Sale>
        rows={rows}
        empty={<Empty title={t("sales.empty")} text={t("sales.emptyText")} action={create} />}
        columns={[
          {
            key: "name",
            title: t("sales.fields.name"),
            sorter: true,
            render: (_, s) => (
              <Link to={showUrl("sales", s.id)} style={{ fontWeight: 500 }}>
                {s.name}
              </Link>
            ),
          },
          {
            key: "partner",
            title: t("sales.fields.partner"),
            sorter: true,
            render: (_, s) => (
              <>
                {s.partner?.name ?? "–"}
                {s.client_order_ref && (
                  <div style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>{s.client_order_ref}</div>
                )}
              </>
            ),
          },
          {
            key: "date_order",
            title: t("sales.fields.date_order"),
            sorter: true,
            render: (_, s) => <span style={{ whiteSpace: "nowrap" }}>{date(s.date_order)}</span>,
          },
          {
            key: "user",
            title: t("sales.fields.user"),
            responsive: ["xl"],
            render: (_, s) => s.user?.name ?? "–",
          },
          {
            key: "invoice_status",
            title: t("sales.fields.invoice_status"),
            responsive: ["xl"],
            render: (_, s) =>
              s.invoice_status ? t(`sales.invoices.${s.invoice_status}`, undefined, s.invoice_status) : "–",
          },
          {
            key: "state",
            title: t("sales.fields.state"),
            sorter: true,
            render: (_, s) => <SaleTag state={s.state} locked={s.locked} />,
          },
          {
            key: "amount_total",
            title: t("sales.fields.amount_total"),
            sorter: true,
            align: "right",
            render: (_, s) => <span style={{ whiteSpace: "nowrap" }}>{money(s.amount_total, s.currency?.name)}</span>,
          },
        ]}
        card={(s) => (
          <CardLink to={showUrl("sales", s.id)}>
            <div style={{ padding: 12, display: "grid", gap: 6 }}>
              <div style={{ display: "flex", justifyContent: "space-between", gap: 12 }}>
                <span style={{ fontWeight: 500, minWidth: 0 }}>{s.partner?.name ?? "–"}</span>
                <span style={{ whiteSpace: "nowrap", fontWeight: 500 }}>{money(s.amount_total, s.currency?.name)}</span>
              </div>
              <div style={{ display: "flex", justifyContent: "space-between", alignItems: "center", gap: 12 }}>
                <span style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>
                  {s.name} · {date(s.date_order)}
                </span>
                <SaleTag state={s.state} locked={s.locked} />
              </div>
            </div>
          </CardLink>
        )}
      />
    </Page>
  );
}

function CustomerFilter({ rows }: { rows: Rows<Sale> }) {
  const t = useTranslate();
  const { md } = Grid.useBreakpoint();
  return (
    <RecordSelect
      resource="partners"
      aria-label={t("sales.fields.partner")}
      placeholder={t("sales.fields.partner")}
      allowClear
      value={Number(rows.value("partner")) || undefined}
      onChange={(next) => rows.set("partner", "eq", next)}
      style={{ width: md ? 220 : "100%" }}
    />
  );
}

/** Days as they are here: from the first moment of one to the last of another. */
function Dates({ rows }: { rows: Rows<Sale> }) {
  const t = useTranslate();
  const { md } = Grid.useBreakpoint();
  const day = (operator: "gte" | "lt") => {
    const value = rows.value("date_order", operator);
    const at = typeof value === "string" ? dayjs(value) : undefined;
    return at?.isValid() ? (operator === "lt" ? at.subtract(1, "day") : at) : null;
  };
  return (
    <DatePicker.RangePicker
      aria-label={t("sales.dates")}
      placeholder={[t("sales.from"), t("sales.to")]}
      format="D MMM YYYY"
      allowEmpty={[true, true]}
      value={[day("gte"), day("lt")]}
      onChange={(range) =>
        rows.apply([
          filterOf("date_order", "gte", range?.[0]?.startOf("day").toISOString()),
          filterOf("date_order", "lt", range?.[1]?.startOf("day").add(1, "day").toISOString()),
        ])
      }
      style={{ width: md ? 270 : "100%", ...(!md && { gridColumn: "span 2" }) }}
    />
  );
}
