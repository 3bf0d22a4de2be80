import {
  AppstoreOutlined,
  EditOutlined,
  InboxOutlined,
  PlusOutlined,
  RollbackOutlined,
  TableOutlined,
} from "@ant-design/icons";
import { useNavigation, useTranslate } from "@refinedev/core";
import type { Product } from "@resonance/refine";
import { Button, Grid, Segmented } from "antd";
import { Link } from "react-router";
import { Page } from "../../components/page.tsx";
import { ArchivedTag, RowMenu, useArchive, useMay } from "../../components/records/archive.tsx";
import { useHas } from "../../components/records/fields.ts";
import { filterIds, filterOf } from "../../components/records/filters.ts";
import { CardLink, RowCount, RowList } from "../../components/records/row-list.tsx";
import { RecordsSelect } from "../../components/records/selects.tsx";
import { ArchivedFilter, FilterSelect, Toolbar } from "../../components/records/toolbar.tsx";
import { useRows } from "../../components/records/use-rows.ts";
import { Empty } from "../../components/states.tsx";
import { useFormat } from "../../i18n/format.ts";
import { Preference, usePreference } from "../../preferences.ts";
import { ProductPicture, StockTag, StockText, shortCategory } from "./product.tsx";

const view = new Preference<"table" | "grid">("products.view", ["table", "grid"], () => "table");

const stocks = ["low", "out", "in"] as const;

export default function ProductList() {
  const t = useTranslate();
  const { money } = useFormat();
  const { showUrl, editUrl } = useNavigation();
  const may = useMay("products");
  const archive = useArchive("products");
  const tracked = useHas("products", "qty_available");
  const rows = useRows<Product>({
    sort: { field: "name", order: "asc" },
    filters: ["category", "low_stock", "is_storable", "qty_available"],
    pageSize: 24,
  });
  const { md } = Grid.useBreakpoint();
  const grid = usePreference(view) === "grid" && Boolean(md);

  const stock = rows.value("low_stock")
    ? "low"
    : rows.value("qty_available", "lte") !== undefined
      ? "out"
      : rows.value("qty_available", "gt") !== undefined
        ? "in"
        : undefined;
  const filterStock = (next: (typeof stocks)[number] | undefined) =>
    rows.apply([
      filterOf("low_stock", "eq", next === "low" ? "true" : undefined),
      filterOf("is_storable", "eq", next === "out" ? "true" : undefined),
      filterOf("qty_available", "lte", next === "out" ? "0" : undefined),
      filterOf("qty_available", "gt", next === "in" ? "0" : undefined),
    ]);

  const create = may && (
    <Link to="/products/create">
      <Button type="primary" icon={<PlusOutlined />} tabIndex={-1}>
        {t("products.new")}
      </Button>
    </Link>
  );
  const price = (p: Product) => money(p.lst_price ?? p.list_price, p.currency?.name);

  return (
    <Page title={t("products.title")} subtitle={<RowCount rows={rows} />} actions={create}>
      <Toolbar
        rows={rows}
        placeholder={t("products.search")}
        sorts={
          (!md || grid) && [
            { value: "name", label: t("products.sort.name") },
            { value: "list_price", label: t("products.sort.priceUp") },
            { value: "-list_price", label: t("products.sort.priceDown") },
            { value: "-created_at", label: t("products.sort.new") },
            { value: "-updated_at", label: t("products.sort.changed") },
          ]
        }
        end={
          md && (
            <Segmented<"table" | "grid">
              aria-label={t("products.view.label")}
              value={grid ? "grid" : "table"}
              onChange={view.set}
              options={[
                { value: "table", icon: <TableOutlined />, title: t("products.view.table") },
                { value: "grid", icon: <AppstoreOutlined />, title: t("products.view.grid") },
              ]}
            />
          )
        }
      >
        <RecordsSelect
          resource="options/categories"
          aria-label={t("products.fields.category")}
          placeholder={t("products.fields.category")}
          value={filterIds(rows.filters, "category")}
          onChange={(ids) => rows.set("category", "in", ids)}
          style={{ minWidth: 0, width: "100%", maxWidth: 200 }}
        />
        {tracked && (
          <FilterSelect
            label={t("products.stock.label")}
            value={stock}
            onChange={filterStock}
            options={stocks.map((value) => ({ value, label: t(`products.stock.${value}`) }))}
          />
        )}
        <ArchivedFilter rows={rows} />
      </Toolbar>
      <RowList<Product>
        rows={rows}
        grid={grid}
        empty={<Empty title={t("products.empty")} text={t("products.emptyText")} action={create} />}
        columns={[
          {
            key: "name",
            title: t("products.fields.name"),
            sorter: true,
            render: (_, p) => (
              <div style={{ display: "flex", alignItems: "center", gap: 12 }}>
                <ProductPicture product={p} size={44} />
                <div style={{ minWidth: 0 }}>
                  <div style={{ display: "flex", flexWrap: "wrap", gap: "2px 8px" }}>
                    <Link to={showUrl("products", p.id)} style={{ fontWeight: 500 }}>
                      {p.name}
                    </Link>
                    <ArchivedTag record={p} />
                  </div>
                  <span style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>{p.default_code}</span>
                </div>
              </div>
            ),
          },
          {
            key: "category",
            title: t("products.fields.category"),
            sorter: true,
            responsive: ["lg"],
            render: (_, p) => shortCategory(p.category?.name),
          },
          {
            key: "barcode",
            title: t("products.fields.barcode"),
            responsive: ["xl"],
            render: (_, p) => p.barcode ?? "–",
          },
          {
            key: "list_price",
            title: t("products.fields.list_price"),
            sorter: true,
            align: "right",
            render: (_, p) => price(p),
          },
          ...(tracked
            ? [
                {
                  key: "stock",
                  title: t("products.fields.stock"),
                  align: "right" as const,
                  render: (_: unknown, p: Product) => (
                    <span style={{ display: "inline-flex", alignItems: "center", gap: 10, whiteSpace: "nowrap" }}>
                      <StockTag product={p} />
                      <span style={{ minWidth: 92 }}>
                        <StockText product={p} />
                      </span>
                    </span>
                  ),
                },
              ]
            : []),
          ...(may
            ? [
                {
                  key: "actions",
                  title: <span className="only-read">{t("table.actions")}</span>,
                  width: 56,
                  render: (_: unknown, p: Product) => (
                    <RowMenu
                      name={p.name}
                      items={[
                        {
                          key: "edit",
                          icon: <EditOutlined />,
                          label: <Link to={editUrl("products", p.id)}>{t("buttons.edit")}</Link>,
                        },
                        {
                          key: "archive",
                          icon: p.active ? <InboxOutlined /> : <RollbackOutlined />,
                          label: t(p.active ? "records.archive" : "records.restore"),
                          onClick: () => void archive(p),
                        },
                      ]}
                    />
                  ),
                },
              ]
            : []),
        ]}
        card={(p) =>
          grid ? (
            <CardLink to={showUrl("products", p.id)} dim={!p.active}>
              <ProductPicture product={p} size="fill" detail={256} />
              <div style={{ padding: "12px 14px 14px", display: "grid", gap: 4 }}>
                <span style={{ fontWeight: 500, lineHeight: 1.35 }}>{p.name}</span>
                <span style={{ display: "flex", flexWrap: "wrap", justifyContent: "space-between", gap: 6 }}>
                  {price(p)}
                  <StockTag product={p} />
                  <ArchivedTag record={p} />
                </span>
              </div>
            </CardLink>
          ) : (
            <CardLink to={showUrl("products", p.id)} dim={!p.active}>
              <div style={{ display: "flex", gap: 12, padding: 12 }}>
                <ProductPicture product={p} size={56} />
                <div style={{ flex: 1, minWidth: 0 }}>
                  <div style={{ display: "flex", justifyContent: "space-between", gap: 8 }}>
                    <span style={{ fontWeight: 500, lineHeight: 1.35, minWidth: 0 }}>{p.name}</span>
                    <span style={{ whiteSpace: "nowrap" }}>{price(p)}</span>
                  </div>
                  <div
                    style={{
                      display: "flex",
                      flexWrap: "wrap",
                      alignItems: "center",
                      justifyContent: "space-between",
                      gap: 6,
                      marginBlockStart: 4,
                      color: "var(--ant-color-text-secondary)",
                      fontSize: 13,
                    }}
                  >
                    <span>{shortCategory(p.category?.name)}</span>
                    <span style={{ display: "inline-flex", alignItems: "center", gap: 8 }}>
                      <ArchivedTag record={p} />
                      <StockTag product={p} />
                      {tracked && p.low_stock !== null && <StockText product={p} />}
                    </span>
                  </div>
                </div>
              </div>
            </CardLink>
          )
        }
      />
    </Page>
  );
}
