import { CheckOutlined, CloseOutlined, EditOutlined } from "@ant-design/icons";
import { useCustomMutation, useInvalidate, useNavigation, useResourceParams, useTranslate } from "@refinedev/core";
import type { Sale, SaleLine } from "@resonance/refine";
import { Alert, App, Button, Grid, Table, theme } from "antd";
import { Link } from "react-router";
import { useMay } from "../../components/records/archive.tsx";
import { Detail, Details } from "../../components/records/details.tsx";
import { Columns, Panel, RecordPage, useRecord } from "../../components/records/record-page.tsx";
import { Empty } from "../../components/states.tsx";
import { useFormat } from "../../i18n/format.ts";
import { allowed, SaleTag } from "./sale.tsx";

export default function SaleShow() {
  const t = useTranslate();
  const { id } = useResourceParams();
  const { query, record: sale } = useRecord<Sale>("sales", id);
  return (
    <RecordPage
      list="sales"
      listTitle={t("sales.title")}
      title={sale?.name}
      subtitle={sale?.partner?.name}
      query={query}
      tags={sale && <SaleTag state={sale.state} locked={sale.locked} />}
      actions={sale && <Actions sale={sale} />}
    >
      {sale && <Facts sale={sale} />}
    </RecordPage>
  );
}

/** What the sale's state allows, to those who may. */
function Actions({ sale }: { sale: Sale }) {
  const t = useTranslate();
  const { money } = useFormat();
  const { modal } = App.useApp();
  const { editUrl } = useNavigation();
  const may = useMay("sales");
  const invalidate = useInvalidate();
  const { mutateAsync, mutation } = useCustomMutation();
  if (!may) return null;
  const can = allowed(sale);
  const name = { name: sale.name };

  const act = async (verb: "confirm" | "cancel") => {
    await mutateAsync({
      url: `/api/v1/sales/${sale.id}/${verb}`,
      method: "post",
      values: undefined as never,
      successNotification: {
        type: "success",
        message: t(verb === "confirm" ? "sales.actions.confirmed" : "sales.actions.cancelled", name),
      },
      errorNotification: (error) => ({ type: "error", message: error?.message ?? t("states.error") }),
    })
      .catch(() => undefined) // said above
      .finally(() => invalidate({ resource: "sales", id: sale.id, invalidates: ["resourceAll"] }));
  };
  const confirm = () =>
    modal.confirm({
      title: t("sales.actions.confirmTitle", name),
      content: t("sales.actions.confirmText", { amount: money(sale.amount_total, sale.currency?.name) }),
      okText: t("sales.actions.confirm"),
      onOk: () => act("confirm"),
    });
  const cancel = () =>
    modal.confirm({
      title: t("sales.actions.cancelTitle", name),
      content: t("sales.actions.cancelText"),
      okText: t("sales.actions.cancel"),
      okButtonProps: { danger: true },
      cancelText: t("sales.actions.keep"),
      onOk: () => act("cancel"),
    });
  return (
    <>
      {can.cancel && (
        <Button danger icon={<CloseOutlined />} onClick={cancel} disabled={mutation.isPending}>
          {t("sales.actions.cancel")}
        </Button>
      )}
      {can.edit && (
        <Link to={editUrl("sales", sale.id)}>
          <Button icon={<EditOutlined />} tabIndex={-1} disabled={mutation.isPending}>
            {t("buttons.edit")}
          </Button>
        </Link>
      )}
      {can.confirm && (
        <Button type="primary" icon={<CheckOutlined />} onClick={confirm} loading={mutation.isPending}>
          {t("sales.actions.confirm")}
        </Button>
      )}
    </>
  );
}

function Facts({ sale }: { sale: Sale }) {
  const t = useTranslate();
  const { date, dateTime } = useFormat();
  const { showUrl } = useNavigation();
  return (
    <Columns
      sideLast
      side={
        <Panel title={t("records.details")}>
          <Details width={140}>
            <Detail name={t("sales.fields.partner")}>
              {sale.partner && <Link to={showUrl("partners", sale.partner.id)}>{sale.partner.name}</Link>}
            </Detail>
            <Detail name={t("sales.fields.date_order")}>{sale.date_order && dateTime(sale.date_order)}</Detail>
            <Detail name={t("sales.fields.validity_date")}>{sale.validity_date && date(sale.validity_date)}</Detail>
            <Detail name={t("sales.fields.client_order_ref")}>{sale.client_order_ref}</Detail>
            <Detail name={t("sales.fields.invoice_status")}>
              {sale.invoice_status && t(`sales.invoices.${sale.invoice_status}`, undefined, sale.invoice_status)}
            </Detail>
            <Detail name={t("sales.fields.user")}>{sale.user?.name}</Detail>
            <Detail name={t("sales.fields.company")}>{sale.company?.name}</Detail>
            <Detail name={t("records.updatedAt")}>{dateTime(sale.updated_at)}</Detail>
          </Details>
        </Panel>
      }
    >
      {sale.locked && <Alert type="info" showIcon message={t("sales.lockedNote")} />}
      <Panel title={t("sales.lines.title")} flush>
        <Lines sale={sale} />
        <Totals sale={sale} />
      </Panel>
    </Columns>
  );
}

function Lines({ sale }: { sale: Sale }) {
  const t = useTranslate();
  const { money, number } = useFormat();
  const { md } = Grid.useBreakpoint();
  const currency = sale.currency?.name;
  const text = (line: SaleLine) => {
    const [first = "", ...rest] = line.name.split("\n");
    const more = line.product && first === line.product.name ? rest.join("\n") : line.name;
    return (
      <>
        {line.product ? line.product.name : null}
        {more && (
          <div
            style={{
              whiteSpace: "pre-line",
              ...(line.product && { color: "var(--ant-color-text-secondary)", fontSize: 13 }),
              ...(line.display_type === "line_section" && { fontWeight: 600 }),
              ...(line.display_type === "line_note" && { fontStyle: "italic" }),
            }}
          >
            {more}
          </div>
        )}
      </>
    );
  };
  const amount = (line: SaleLine) =>
    `${number(line.qty)} ${line.uom?.name ?? ""} × ${money(line.price_unit, currency)}${line.discount ? ` − ${number(line.discount)} %` : ""}`;
  const lines = sale.lines ?? [];
  if (lines.length === 0) return <Empty title={t("sales.lines.none")} />;
  if (!md) {
    return (
      <ul style={{ listStyle: "none", margin: 0, padding: "4px 16px" }}>
        {lines.map((line, i) => (
          <li
            key={line.id}
            style={{
              display: "flex",
              justifyContent: "space-between",
              gap: 12,
              paddingBlock: 10,
              ...(i > 0 && { borderBlockStart: "1px solid var(--ant-color-border-secondary)" }),
            }}
          >
            <div style={{ minWidth: 0 }}>
              {text(line)}
              {!line.display_type && (
                <div style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>{amount(line)}</div>
              )}
            </div>
            {!line.display_type && <span style={{ whiteSpace: "nowrap" }}>{money(line.subtotal, currency)}</span>}
          </li>
        ))}
      </ul>
    );
  }
  const cells = (line: SaleLine) => (line.display_type ? { colSpan: 0 } : {});
  const right = { align: "right" as const, onCell: cells };
  const discounts = lines.some(({ discount }) => discount);
  return (
    <Table<SaleLine>
      rowKey="id"
      size="middle"
      pagination={false}
      dataSource={lines}
      columns={[
        {
          key: "product",
          title: t("sales.lines.product"),
          onCell: (line) => (line.display_type ? { colSpan: discounts ? 6 : 5 } : {}),
          render: (_, line) => text(line),
        },
        {
          key: "qty",
          title: t("sales.lines.qty"),
          ...right,
          render: (_, line) => (
            <span style={{ whiteSpace: "nowrap" }}>
              {number(line.qty)} <small style={{ color: "var(--ant-color-text-secondary)" }}>{line.uom?.name}</small>
            </span>
          ),
        },
        {
          key: "price",
          title: t("sales.lines.price"),
          ...right,
          render: (_, line) => money(line.price_unit, currency),
        },
        ...(discounts
          ? [
              {
                key: "discount",
                title: t("sales.lines.discount"),
                ...right,
                render: (_: unknown, line: SaleLine) => (line.discount ? number(line.discount) : "–"),
              },
            ]
          : []),
        {
          key: "taxes",
          title: t("sales.lines.taxes"),
          onCell: cells,
          render: (_, line) => line.taxes.map(({ name }) => name).join(", ") || "–",
        },
        {
          key: "subtotal",
          title: t("sales.lines.subtotal"),
          ...right,
          render: (_, line) => money(line.subtotal, currency),
        },
      ]}
    />
  );
}

function Totals({ sale }: { sale: Sale }) {
  const t = useTranslate();
  const { md } = Grid.useBreakpoint();
  const { money } = useFormat();
  const { token } = theme.useToken();
  const currency = sale.currency?.name;
  const row = (name: string, value: number, strong = false) => (
    <div
      style={{
        display: "flex",
        justifyContent: "space-between",
        gap: 24,
        ...(strong && { fontSize: 17, fontWeight: 600 }),
      }}
    >
      <dt style={strong ? {} : { color: token.colorTextSecondary }}>{name}</dt>
      <dd style={{ margin: 0 }}>{money(value, currency)}</dd>
    </div>
  );
  return (
    <div style={{ padding: md ? "16px 12px" : 16, borderBlockStart: `1px solid ${token.colorBorderSecondary}` }}>
      <dl style={{ display: "grid", gap: 6, width: "100%", maxWidth: 300, margin: 0, marginInlineStart: "auto" }}>
        {row(t("sales.totals.untaxed"), sale.amount_untaxed)}
        {row(t("sales.totals.tax"), sale.amount_tax)}
        {row(t("sales.totals.total"), sale.amount_total, true)}
      </dl>
    </div>
  );
}
