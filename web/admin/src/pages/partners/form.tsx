import { useNavigation, useResourceParams, useTranslate } from "@refinedev/core";
import type { Partner } from "@resonance/refine";
import { Form, Input, Radio } from "antd";
import { Page } from "../../components/page.tsx";
import { useHas } from "../../components/records/fields.ts";
import { Cell, RecordForm, Section, useRecordForm } from "../../components/records/record-form.tsx";
import { Back } from "../../components/records/record-page.tsx";
import { RecordSelect } from "../../components/records/selects.tsx";
import { useKind } from "./partner.tsx";

const fields = [
  "name",
  "is_company",
  "email",
  "phone",
  "mobile",
  "website",
  "vat",
  "ref",
  "street",
  "street2",
  "zip",
  "city",
] as const;

type Values = Pick<Partner, (typeof fields)[number]> & {
  parent: number | undefined;
  state: number | undefined;
  country: number | undefined;
};

const read = (partner: Partner): Values => ({
  ...(Object.fromEntries(fields.map((name) => [name, partner[name]])) as Pick<Partner, (typeof fields)[number]>),
  parent: partner.parent?.id,
  state: partner.state?.id,
  country: partner.country?.id,
});

/** Makes a customer or a supplier, or changes one. */
export function PartnerForm() {
  const t = useTranslate();
  const kind = useKind();
  const { id, action } = useResourceParams();
  const { show, list, showUrl, listUrl } = useNavigation();
  const editing = action === "edit" ? String(id) : undefined;
  const label = (name: string) => t(`partners.fields.${name}`);
  const mobile = useHas(kind, "mobile");
  const control = useRecordForm<Partner, Values>({
    resource: kind,
    id: editing,
    read,
    label,
    onSaved: (partner) => show(kind, partner.id, "replace"),
  });
  const { form, base } = control;
  const name = base?.record.name ?? "";
  return (
    <Page
      title={editing ? t("partners.edit", { name }) : t(`partners.${kind}.new`)}
      back={
        editing ? (
          <Back to={showUrl(kind, editing)}>{name || t(`partners.${kind}.title`)}</Back>
        ) : (
          <Back to={listUrl(kind)}>{t(`partners.${kind}.title`)}</Back>
        )
      }
    >
      <RecordForm
        control={control}
        initial={{ is_company: true }}
        onCancel={() => (editing ? show(kind, editing) : list(kind))}
      >
        {(partner) => (
          <>
            <Section title={t("partners.contact")}>
              <Cell span={16}>
                <Form.Item name="name" label={label("name")} rules={[{ required: true, whitespace: true }]}>
                  <Input autoFocus={!editing} maxLength={500} autoComplete="off" />
                </Form.Item>
              </Cell>
              <Cell span={8}>
                <Form.Item name="is_company" label={label("is_company")}>
                  <Radio.Group
                    optionType="button"
                    options={[
                      { value: true, label: t("partners.kind.company") },
                      { value: false, label: t("partners.kind.person") },
                    ]}
                  />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item
                  name="email"
                  label={label("email")}
                  rules={[{ type: "email", message: t("partners.badEmail") }]}
                >
                  <Input type="email" autoComplete="off" />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="phone" label={label("phone")}>
                  <Input type="tel" autoComplete="off" />
                </Form.Item>
              </Cell>
              {mobile && (
                <Cell>
                  <Form.Item name="mobile" label={label("mobile")}>
                    <Input type="tel" autoComplete="off" />
                  </Form.Item>
                </Cell>
              )}
              <Cell>
                <Form.Item name="website" label={label("website")}>
                  <Input inputMode="url" autoComplete="off" />
                </Form.Item>
              </Cell>
              <Form.Item noStyle dependencies={["is_company"]}>
                {({ getFieldValue }) =>
                  (getFieldValue("is_company") === false || partner?.parent) && (
                    <Cell>
                      <Form.Item name="parent" label={label("parent")}>
                        <RecordSelect resource="partners" known={partner?.parent} allowClear />
                      </Form.Item>
                    </Cell>
                  )
                }
              </Form.Item>
            </Section>
            <Section title={t("partners.address")}>
              <Cell>
                <Form.Item name="street" label={label("street")}>
                  <Input autoComplete="off" />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="street2" label={label("street2")}>
                  <Input autoComplete="off" />
                </Form.Item>
              </Cell>
              <Cell span={8}>
                <Form.Item name="zip" label={label("zip")}>
                  <Input autoComplete="off" />
                </Form.Item>
              </Cell>
              <Cell span={16}>
                <Form.Item name="city" label={label("city")}>
                  <Input autoComplete="off" />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="country" label={label("country")}>
                  <RecordSelect
                    resource="options/countries"
                    allowClear
                    known={partner?.country}
                    onChange={() => form.setFieldValue("state", undefined)}
                  />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item noStyle dependencies={["country"]}>
                  {({ getFieldValue }) => {
                    const country: number | undefined = getFieldValue("country");
                    return (
                      <Form.Item name="state" label={label("state")}>
                        <RecordSelect
                          resource="options/states"
                          allowClear
                          disabled={!country}
                          placeholder={t(country ? "records.typeToSearch" : "partners.stateFirst")}
                          filters={[{ field: "country", operator: "eq", value: country }]}
                          known={partner?.state}
                        />
                      </Form.Item>
                    );
                  }}
                </Form.Item>
              </Cell>
            </Section>
            <Section title={t("partners.fiscal")}>
              <Cell>
                <Form.Item name="vat" label={label("vat")}>
                  <Input autoComplete="off" />
                </Form.Item>
              </Cell>
              <Cell>
                <Form.Item name="ref" label={label("ref")}>
                  <Input autoComplete="off" />
                </Form.Item>
              </Cell>
            </Section>
          </>
        )}
      </RecordForm>
    </Page>
  );
}
