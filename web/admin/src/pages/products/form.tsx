import { useNavigation, useResourceParams, useTranslate } from "@refinedev/core";
import type { Product } from "@resonance/refine";
import { Checkbox, Form, Input, Select, Space } from "antd";
import { Page } from "../../components/page.tsx";
import { useHas } from "../../components/records/fields.ts";
import { NumberInput, useNumberRules } from "../../components/records/number-input.tsx";
import { Cell, RecordForm, Section, useRecordForm } from "../../components/records/record-form.tsx";
import { Back } from "../../components/records/record-page.tsx";
import { RecordSelect } from "../../components/records/selects.tsx";
import { typeKey } from "./product.tsx";

const fields = [
  "name",
  "default_code",
  "barcode",
  "type",
  "is_storable",
  "list_price",
  "standard_price",
  "description_sale",
  "sale_ok",
  "purchase_ok",
  "weight",
  "volume",
] as const;

type Values = Pick<Product, (typeof fields)[number]> & { category: number | undefined; uom: number | undefined };

const read = (product: Product): Values => ({
  ...(Object.fromEntries(fields.map((name) => [name, product[name]])) as Pick<Product, (typeof fields)[number]>),
  category: product.category?.id,
  uom: product.uom?.id,
});

/** Makes a product, or changes one. */
export function ProductForm() {
  const t = useTranslate();
  const rules = useNumberRules();
  const { id, action } = useResourceParams();
  const { show, list } = useNavigation();
  const editing = action === "edit" ? String(id) : undefined;
  const label = (name: string) => t(`products.fields.${name}`);
  const control = useRecordForm<Product, Values>({
    resource: "products",
    id: editing,
    read,
    label,
    onSaved: (product) => show("products", product.id, "replace"),
  });
  const storable = useHas("products", "qty_available");
  const costs = useHas("products", "standard_price");
  const name = control.base?.record.name;
  return (
    <Page
      title={editing ? t("products.edit", { name: name ?? "" }) : t("products.new")}
      back={
        editing ? (
          <Back to={`/products/show/${editing}`}>{name ?? t("products.title")}</Back>
        ) : (
          <Back to="/products">{t("products.title")}</Back>
        )
      }
    >
      <RecordForm
        control={control}
        initial={{ type: "consu", sale_ok: true, purchase_ok: true, ...(storable && { is_storable: true }) }}
        onCancel={() => (editing ? show("products", editing) : list("products"))}
      >
        {(product) => (
          <>
            <Section title={t("products.sections.general")}>
              <Cell span={24}>
                <Form.Item name="name" label={label("name")} rules={[{ required: true, whitespace: true }]}>
                  <Input autoFocus={!editing} maxLength={500} />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="default_code" label={label("default_code")}>
                  <Input />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="barcode" label={label("barcode")}>
                  <Input inputMode="numeric" />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="type" label={label("type")}>
                  <Select
                    options={[...new Set(["consu", "service", product?.type ?? "consu"])].map((value) => ({
                      value,
                      label: t(typeKey(value), undefined, value),
                    }))}
                  />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="category" label={label("category")}>
                  <RecordSelect resource="options/categories" known={product?.category} />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="uom" label={label("uom")} extra={editing && t("products.help.uom")}>
                  <RecordSelect resource="options/units" known={product?.uom} />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item label={t("products.sections.sale")} style={{ marginBlockEnd: 0 }}>
                  <Space size="large">
                    <Form.Item name="sale_ok" valuePropName="checked" noStyle>
                      <Checkbox>{label("sale_ok")}</Checkbox>
                    </Form.Item>
                    <Form.Item name="purchase_ok" valuePropName="checked" noStyle>
                      <Checkbox>{label("purchase_ok")}</Checkbox>
                    </Form.Item>
                  </Space>
                </Form.Item>
              </Cell>
            </Section>
            <Section title={t("products.sections.price")}>
              <Cell>
                <Form.Item name="list_price" label={label("list_price")} rules={rules()}>
                  <NumberInput decimals={2} suffix={product?.currency?.name} />
                </Form.Item>
              </Cell>
              {costs && (
                <Cell>
                  <Form.Item name="standard_price" label={label("standard_price")} rules={rules()}>
                    <NumberInput decimals={2} suffix={product?.currency?.name} />
                  </Form.Item>
                </Cell>
              )}
              <Cell span={24}>
                <Form.Item
                  name="description_sale"
                  label={label("description_sale")}
                  extra={t("products.help.description_sale")}
                >
                  <Input.TextArea autoSize={{ minRows: 2, maxRows: 8 }} />
                </Form.Item>
              </Cell>
            </Section>
            <Section title={t("products.sections.stock")}>
              {storable && (
                <Cell span={8}>
                  <Form.Item name="is_storable" valuePropName="checked" label={t("products.stock.label")}>
                    <Checkbox>{label("is_storable")}</Checkbox>
                  </Form.Item>
                </Cell>
              )}
              <Cell span={8}>
                <Form.Item name="weight" label={label("weight")} rules={rules()}>
                  <NumberInput />
                </Form.Item>
              </Cell>
              <Cell span={8}>
                <Form.Item name="volume" label={label("volume")} rules={rules()}>
                  <NumberInput />
                </Form.Item>
              </Cell>
            </Section>
          </>
        )}
      </RecordForm>
    </Page>
  );
}
