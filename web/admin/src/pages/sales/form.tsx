import { DeleteOutlined, PlusOutlined } from "@ant-design/icons";
import { useNavigation, useResourceParams, useTranslate } from "@refinedev/core";
import type { Partner, Product, Sale } from "@resonance/refine";
import { Button, Card, DatePicker, Form, type FormListFieldData, Grid, Input, theme } from "antd";
import dayjs, { type Dayjs } from "dayjs";
import { Link, useSearchParams } from "react-router";
import { Page } from "../../components/page.tsx";
import { changes, given } from "../../components/records/changes.ts";
import { NumberInput, useNumberRules } from "../../components/records/number-input.tsx";
import { Cell, RecordForm, Section, useRecordForm } from "../../components/records/record-form.tsx";
import { Back } from "../../components/records/record-page.tsx";
import { RecordSelect, type Ref } from "../../components/records/selects.tsx";
import { Empty } from "../../components/states.tsx";
import { useFormat } from "../../i18n/format.ts";
import { estimate, estimateAll, type Line, linesChanged, readLine, writeLines } from "./lines.ts";
import { allowed } from "./sale.tsx";

interface Values {
  partner: number | undefined;
  date_order: string | null | undefined;
  validity_date: string | null | undefined;
  client_order_ref: string | null;
  lines: Line[];
}

const read = (sale: Sale): Values => ({
  partner: sale.partner?.id,
  date_order: sale.date_order,
  validity_date: sale.validity_date,
  client_order_ref: sale.client_order_ref,
  lines: (sale.lines ?? []).map(readLine),
});

function write({ lines, ...values }: Values, before: Values | undefined): object {
  if (!before) return { ...given(values), lines: writeLines(lines) };
  const { lines: old, ...was } = before;
  return { ...changes(was, values), ...(linesChanged(lines, old) && { lines: writeLines(lines, old) }) };
}

/** Makes a quotation, or changes one. */
export function SaleForm() {
  const t = useTranslate();
  const { id, action } = useResourceParams();
  const { show, list } = useNavigation();
  const [params] = useSearchParams();
  const editing = action === "edit" ? String(id) : undefined;
  const customer = Number(params.get("partner")) || undefined; // a customer's page leads here
  const control = useRecordForm<Sale, Values>({
    resource: "sales",
    id: editing,
    read,
    write,
    label: (name) => t(`sales.fields.${name}`),
    onSaved: (sale) => show("sales", sale.id, "replace"),
  });
  const sale = control.base?.record;
  const name = sale?.name ?? "";
  const back = editing ? (
    <Back to={`/sales/show/${editing}`}>{name || t("sales.title")}</Back>
  ) : (
    <Back to="/sales">{t("sales.title")}</Back>
  );
  const title = editing ? t("sales.edit", { name }) : t("sales.new");
  if (sale && !allowed(sale).edit) {
    return (
      <Page title={title} back={back}>
        <Card>
          <Empty
            title={t("sales.notEditable")}
            text={t("sales.notEditableText", { name })}
            action={
              <Link to={`/sales/show/${sale.id}`}>
                <Button type="primary">{t("sales.back")}</Button>
              </Link>
            }
          />
        </Card>
      </Page>
    );
  }
  return (
    <Page title={title} back={back}>
      <RecordForm
        control={control}
        initial={{ partner: customer, lines: [{ qty: 1 }] }}
        onCancel={() => (editing ? show("sales", editing) : list("sales"))}
      >
        {(sale) => (
          <>
            <Section title={t("records.details")}>
              <Cell>
                <Form.Item name="partner" label={t("sales.fields.partner")} rules={[{ required: true }]}>
                  <RecordSelect<Partner & Ref>
                    resource="partners"
                    autoFocus={!editing && !customer}
                    known={sale?.partner}
                    describe={({ city, vat }) => [city, vat].filter(Boolean).join(" · ")}
                  />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="client_order_ref" label={t("sales.fields.client_order_ref")}>
                  <Input autoComplete="off" />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="date_order" label={t("sales.fields.date_order")} {...asTime}>
                  <DatePicker showTime={{ format: "HH:mm" }} format="D MMM YYYY, HH:mm" style={{ width: "100%" }} />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="validity_date" label={t("sales.fields.validity_date")} {...asDay}>
                  <DatePicker format="D MMM YYYY" style={{ width: "100%" }} />
                </Form.Item>
              </Cell>
            </Section>
            <Lines currency={sale?.currency?.name} />
          </>
        )}
      </RecordForm>
    </Page>
  );
}

const asTime = {
  getValueProps: (value: string | null | undefined) => ({ value: value ? dayjs(value) : null }),
  normalize: (value: Dayjs | null) => value?.second(0).millisecond(0).toISOString() ?? null,
};
const asDay = {
  getValueProps: (value: string | null | undefined) => ({ value: value ? dayjs(value) : null }),
  normalize: (value: Dayjs | null) => value?.format("YYYY-MM-DD") ?? null,
};

function Lines({ currency }: { currency: string | undefined }) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { md } = Grid.useBreakpoint();
  return (
    <Card
      title={<h2 style={{ font: "inherit", margin: 0 }}>{t("sales.lines.title")}</h2>}
      style={{ marginBlockEnd: 16 }}
    >
      <Form.List
        name="lines"
        rules={[
          {
            validator: async (_, lines?: Line[]) => {
              if (!lines?.length) throw new Error(t("sales.lines.one"));
            },
          },
        ]}
      >
        {(fields, { add, remove }, { errors }) => (
          <>
            {md && fields.length > 0 && (
              <div aria-hidden style={{ ...columns, color: token.colorTextSecondary, fontSize: 13, marginBlockEnd: 6 }}>
                {["product", "qty", "price", "discount", "subtotal"].map((name) => (
                  <span key={name} style={name === "subtotal" ? { textAlign: "end" } : {}}>
                    {t(`sales.lines.${name}`)}
                  </span>
                ))}
              </div>
            )}
            {fields.map((field, i) => (
              <OneLine
                key={field.key}
                field={field}
                n={i + 1}
                currency={currency}
                onRemove={() => remove(field.name)}
              />
            ))}
            <Form.ErrorList errors={errors} />
            <div
              style={{
                display: "flex",
                flexWrap: "wrap",
                alignItems: "center",
                justifyContent: "space-between",
                gap: 12,
                marginBlockStart: 8,
              }}
            >
              <Button type="dashed" icon={<PlusOutlined />} onClick={() => add({ qty: 1 })}>
                {t("sales.lines.add")}
              </Button>
              <Estimate currency={currency} />
            </div>
            <p style={{ margin: "12px 0 0", fontSize: 13, color: token.colorTextSecondary }}>
              {t("sales.lines.ownPriceHelp")}
            </p>
          </>
        )}
      </Form.List>
    </Card>
  );
}

const columns = {
  display: "grid",
  gridTemplateColumns: "minmax(0, 1fr) 96px 130px 84px 110px 36px",
  gap: 10,
} as const;

function OneLine({
  field,
  n,
  currency,
  onRemove,
}: {
  field: FormListFieldData;
  n: number;
  currency: string | undefined;
  onRemove: () => void;
}) {
  const t = useTranslate();
  const { money, number } = useFormat();
  const { token } = theme.useToken();
  const { md } = Grid.useBreakpoint();
  const form = Form.useFormInstance<Values>();
  const line: Line = Form.useWatch(["lines", field.name], { form, preserve: true }) ?? {};
  const rules = useNumberRules();
  const own = (name: string) => `${t("sales.lines.line", { n })}: ${t(`sales.lines.${name}`)}`;
  const sum = estimate(line);
  const drop = (
    <Button
      type="text"
      icon={<DeleteOutlined />}
      aria-label={t("sales.lines.remove", { n })}
      onClick={onRemove}
      style={{ color: token.colorTextSecondary }}
    />
  );
  const item = { style: { marginBlockEnd: 0 } };
  if (line.display_type) {
    return (
      <div style={{ display: "flex", gap: 10, marginBlockEnd: 12 }}>
        <Form.Item name={[field.name, "name"]} style={{ flex: 1, marginBlockEnd: 0 }}>
          <Input.TextArea autoSize aria-label={own("description")} />
        </Form.Item>
        {drop}
      </div>
    );
  }
  const product = (
    <Form.Item name={[field.name, "product"]} rules={[{ required: true }]} {...item}>
      <RecordSelect<Product>
        resource="products"
        aria-label={own("product")}
        known={line.known}
        describe={(p) =>
          [
            p.default_code,
            money(p.lst_price ?? p.list_price, p.currency?.name),
            p.qty_available !== null && `${number(p.qty_available)} ${p.uom?.name ?? ""}`,
          ]
            .filter(Boolean)
            .join(" · ")
        }
        onChange={(product, record) => {
          const list = record ? (record.lst_price ?? record.list_price) : null;
          const known = record ? { id: record.id, name: record.name } : null;
          const currency = record?.currency?.name;
          form.setFieldValue(["lines", field.name], { ...line, product, known, list, currency, price_unit: null });
        }}
      />
    </Form.Item>
  );
  const qty = (
    <Form.Item name={[field.name, "qty"]} rules={[{ required: true }]} {...item}>
      <NumberInput aria-label={own("qty")} />
    </Form.Item>
  );
  const price = (
    <Form.Item name={[field.name, "price_unit"]} rules={rules()} {...item}>
      <NumberInput
        decimals={2}
        aria-label={own("price")}
        placeholder={
          typeof line.list === "number" ? number(line.list, { minimumFractionDigits: 2 }) : t("sales.lines.ownPrice")
        }
      />
    </Form.Item>
  );
  const discount = (
    <Form.Item name={[field.name, "discount"]} rules={rules({ max: 100 })} {...item}>
      <NumberInput aria-label={own("discount")} placeholder="0" />
    </Form.Item>
  );
  const subtotal = sum === undefined ? "–" : money(sum, currency ?? line.currency);
  if (md) {
    return (
      <div style={{ ...columns, alignItems: "start", marginBlockEnd: 12 }}>
        {product}
        {qty}
        {price}
        {discount}
        <span style={{ textAlign: "end", lineHeight: `${token.controlHeight}px` }}>{subtotal}</span>
        {drop}
      </div>
    );
  }
  return (
    <div
      style={{
        display: "grid",
        gap: 8,
        paddingBlockEnd: 14,
        marginBlockEnd: 14,
        borderBlockEnd: `1px solid ${token.colorBorderSecondary}`,
      }}
    >
      <div
        style={{
          display: "flex",
          justifyContent: "space-between",
          alignItems: "center",
          color: token.colorTextSecondary,
        }}
      >
        <span>{t("sales.lines.line", { n })}</span>
        <span>
          {subtotal} {drop}
        </span>
      </div>
      {product}
      <div style={{ display: "grid", gridTemplateColumns: "1fr 1.3fr 1fr", gap: 8 }}>
        {(["qty", "price", "discount"] as const).map((name) => (
          <div key={name} style={{ minWidth: 0 }}>
            <div aria-hidden style={{ fontSize: 13, color: token.colorTextSecondary }}>
              {t(`sales.lines.${name}`)}
            </div>
            {{ qty, price, discount }[name]}
          </div>
        ))}
      </div>
    </div>
  );
}

function Estimate({ currency }: { currency: string | undefined }) {
  const t = useTranslate();
  const { money } = useFormat();
  const form = Form.useFormInstance<Values>();
  const lines = Form.useWatch("lines", { form, preserve: true }) ?? [];
  const sum = estimateAll(lines);
  return (
    sum !== undefined && (
      <span>
        {t("sales.lines.estimate")}:{" "}
        <strong>{money(sum, currency ?? lines.find((line) => line?.currency)?.currency)}</strong>
      </span>
    )
  );
}
