import { EditOutlined } from "@ant-design/icons";
import { useNavigation, useResourceParams, useTranslate } from "@refinedev/core";
import type { Product } from "@resonance/refine";
import { Alert, Button, Card, Statistic } from "antd";
import { Link } from "react-router";
import { ArchiveButton, ArchivedTag, useMay } from "../../components/records/archive.tsx";
import { Detail, Details } from "../../components/records/details.tsx";
import { Columns, Panel, RecordPage, useRecord } from "../../components/records/record-page.tsx";
import { useFormat } from "../../i18n/format.ts";
import { ProductPicture, StockTag, stockOf, typeKey } from "./product.tsx";

export default function ProductShow() {
  const t = useTranslate();
  const { id } = useResourceParams();
  const { editUrl } = useNavigation();
  const may = useMay("products");
  const { query, record: p } = useRecord<Product>("products", id);
  const tags = p && (
    <>
      <StockTag product={p} />
      <ArchivedTag record={p} />
    </>
  );
  const actions = p && may && (
    <>
      <ArchiveButton resource="products" record={p} />
      <Link to={editUrl("products", p.id)}>
        <Button type="primary" icon={<EditOutlined />} tabIndex={-1}>
          {t("buttons.edit")}
        </Button>
      </Link>
    </>
  );
  return (
    <RecordPage
      list="products"
      listTitle={t("products.title")}
      title={p?.name}
      subtitle={p?.default_code}
      query={query}
      tags={tags}
      actions={actions}
    >
      {p && <Facts product={p} />}
    </RecordPage>
  );
}

function Facts({ product: p }: { product: Product }) {
  const t = useTranslate();
  const { money, number, dateTime } = useFormat();
  const currency = p.currency?.name;
  const yesNo = (value: boolean | null) => value !== null && t(value ? "products.yes" : "products.no");
  const tracked = stockOf(p) !== "untracked";
  return (
    <Columns
      side={
        <Card styles={{ body: { padding: 0, overflow: "hidden" } }}>
          <ProductPicture product={p} size="fill" detail={512} />
        </Card>
      }
    >
      {!p.active && <Alert type="info" showIcon message={t("records.archivedNote")} />}
      <Card>
        <div style={{ display: "grid", gridTemplateColumns: "repeat(auto-fit, minmax(130px, 1fr))", gap: "16px 24px" }}>
          <Statistic title={t("products.fields.list_price")} value={money(p.lst_price ?? p.list_price, currency)} />
          {tracked && (
            <>
              <Statistic title={t("products.onHand")} value={number(p.qty_available)} suffix={unit(p)} />
              <Statistic title={t("products.expected")} value={number(p.virtual_available)} suffix={unit(p)} />
            </>
          )}
        </div>
        {tracked && p.low_stock_threshold !== null && (
          <p style={{ margin: "12px 0 0", color: "var(--ant-color-text-secondary)" }}>
            {t("products.threshold", { qty: number(p.low_stock_threshold) })}
          </p>
        )}
      </Card>
      <Panel title={t("records.details")}>
        <Details width={140}>
          <Detail name={t("products.fields.default_code")}>{p.default_code}</Detail>
          <Detail name={t("products.fields.barcode")}>{p.barcode}</Detail>
          <Detail name={t("products.fields.type")}>{t(typeKey(p.type), undefined, p.type)}</Detail>
          <Detail name={t("products.fields.category")}>{p.category?.name}</Detail>
          <Detail name={t("products.fields.uom")}>{p.uom?.name}</Detail>
          <Detail name={t("products.fields.standard_price")}>
            {p.standard_price !== null && money(p.standard_price, currency)}
          </Detail>
          <Detail name={t("products.fields.is_storable")}>{yesNo(p.is_storable)}</Detail>
          <Detail name={t("products.fields.sale_ok")}>{yesNo(p.sale_ok)}</Detail>
          <Detail name={t("products.fields.purchase_ok")}>{yesNo(p.purchase_ok)}</Detail>
          <Detail name={t("products.fields.weight")}>{p.weight ? number(p.weight) : null}</Detail>
          <Detail name={t("products.fields.volume")}>{p.volume ? number(p.volume) : null}</Detail>
          <Detail name={t("products.fields.company")}>{p.company?.name}</Detail>
          <Detail name={t("records.createdAt")}>{dateTime(p.created_at)}</Detail>
          <Detail name={t("records.updatedAt")}>{dateTime(p.updated_at)}</Detail>
        </Details>
      </Panel>
      {p.description_sale && (
        <Panel title={t("products.fields.description_sale")}>
          <p style={{ margin: 0, whiteSpace: "pre-line" }}>{p.description_sale}</p>
        </Panel>
      )}
    </Columns>
  );
}

const unit = (p: Product) => <small style={{ fontSize: 14 }}>{p.uom?.name}</small>;
