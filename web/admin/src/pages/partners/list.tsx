import { EditOutlined, InboxOutlined, PlusOutlined, RollbackOutlined } from "@ant-design/icons";
import { useNavigation, useTranslate } from "@refinedev/core";
import type { Partner } from "@resonance/refine";
import { Button, Grid } from "antd";
import { Link } from "react-router";
import { Page } from "../../components/page.tsx";
import { ArchivedTag, RowMenu, useArchive, useMay } from "../../components/records/archive.tsx";
import { filterIds } from "../../components/records/filters.ts";
import { CardLink, RowCount, RowList } from "../../components/records/row-list.tsx";
import { RecordsSelect } from "../../components/records/selects.tsx";
import { ArchivedFilter, FilterSelect, Toolbar } from "../../components/records/toolbar.tsx";
import { useRows } from "../../components/records/use-rows.ts";
import { Empty } from "../../components/states.tsx";
import { PartnerPicture, shortState, useKind } from "./partner.tsx";

export default function PartnerList() {
  const t = useTranslate();
  const kind = useKind();
  const { showUrl, editUrl, createUrl } = useNavigation();
  const { md } = Grid.useBreakpoint();
  const may = useMay(kind);
  const archive = useArchive(kind);
  const rows = useRows<Partner>({
    sort: { field: "name", order: "asc" },
    filters: ["is_company", "country", "state"],
  });
  const countries = filterIds(rows.filters, "country");

  const create = may && (
    <Link to={createUrl(kind)}>
      <Button type="primary" icon={<PlusOutlined />} tabIndex={-1}>
        {t(`partners.${kind}.new`)}
      </Button>
    </Link>
  );
  const place = (p: Partner) =>
    [p.city, shortState(p.state?.name)].filter((name, i, all) => name && all.indexOf(name) === i).join(", ");

  return (
    <Page title={t(`partners.${kind}.title`)} subtitle={<RowCount rows={rows} />} actions={create}>
      <Toolbar
        rows={rows}
        placeholder={t("partners.search")}
        sorts={
          !md && [
            { value: "name", label: t("partners.sort.name") },
            { value: "city", label: t("partners.sort.city") },
            { value: "-created_at", label: t("partners.sort.new") },
            { value: "-updated_at", label: t("partners.sort.changed") },
          ]
        }
      >
        <FilterSelect
          label={t("partners.kind.label")}
          width={140}
          value={rows.value("is_company") as string | undefined}
          onChange={(value) => rows.set("is_company", "eq", value)}
          options={[
            { value: "true", label: t("partners.kind.company") },
            { value: "false", label: t("partners.kind.person") },
          ]}
        />
        <RecordsSelect
          resource="options/countries"
          aria-label={t("partners.fields.country")}
          placeholder={t("partners.fields.country")}
          value={countries}
          onChange={(ids) => rows.set("country", "in", ids)}
          style={{ width: md ? 180 : "100%" }}
        />
        <RecordsSelect
          resource="options/states"
          filters={[{ field: "country", operator: "in", value: countries }]}
          aria-label={t("partners.fields.state")}
          placeholder={t("partners.fields.state")}
          value={filterIds(rows.filters, "state")}
          onChange={(ids) => rows.set("state", "in", ids)}
          style={{ width: md ? 180 : "100%" }}
        />
        <ArchivedFilter rows={rows} />
      </Toolbar>
      <RowList<Partner>
        rows={rows}
        empty={<Empty title={t(`partners.${kind}.empty`)} text={t("partners.emptyText")} action={create} />}
        columns={[
          {
            key: "name",
            title: t("partners.fields.name"),
            sorter: true,
            render: (_, p) => (
              <div style={{ display: "flex", alignItems: "center", gap: 12 }}>
                <PartnerPicture partner={p} kind={kind} size={40} />
                <div style={{ minWidth: 0 }}>
                  <div style={{ display: "flex", flexWrap: "wrap", gap: "2px 8px" }}>
                    <Link to={showUrl(kind, p.id)} style={{ fontWeight: 500 }}>
                      {p.name || t("partners.unnamed")}
                    </Link>
                    <ArchivedTag record={p} />
                  </div>
                  {p.parent && (
                    <span style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>{p.parent.name}</span>
                  )}
                </div>
              </div>
            ),
          },
          {
            key: "email",
            title: t("partners.fields.email"),
            sorter: true,
            responsive: ["lg"],
            render: (_, p) => (p.email ? <a href={`mailto:${p.email}`}>{p.email}</a> : "–"),
          },
          {
            key: "phone",
            title: t("partners.fields.phone"),
            render: (_, p) =>
              p.phone || p.mobile ? (
                <a href={`tel:${p.phone || p.mobile}`} style={{ color: "inherit", whiteSpace: "nowrap" }}>
                  {p.phone || p.mobile}
                </a>
              ) : (
                "–"
              ),
          },
          {
            key: "city",
            title: t("partners.fields.city"),
            sorter: true,
            render: (_, p) => (
              <>
                {place(p) || "–"}
                <div style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>{p.country?.name}</div>
              </>
            ),
          },
          {
            key: "vat",
            title: t("partners.fields.vat"),
            sorter: true,
            responsive: ["xl"],
            render: (_, p) => p.vat ?? "–",
          },
          ...(may
            ? [
                {
                  key: "actions",
                  title: <span className="only-read">{t("table.actions")}</span>,
                  width: 56,
                  render: (_: unknown, p: Partner) => (
                    <RowMenu
                      name={p.name ?? ""}
                      items={[
                        {
                          key: "edit",
                          icon: <EditOutlined />,
                          label: <Link to={editUrl(kind, p.id)}>{t("buttons.edit")}</Link>,
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
        card={(p) => (
          <CardLink to={showUrl(kind, p.id)} dim={!p.active}>
            <div style={{ display: "flex", gap: 12, padding: 12 }}>
              <PartnerPicture partner={p} kind={kind} size={44} />
              <div style={{ flex: 1, minWidth: 0 }}>
                <div style={{ display: "flex", flexWrap: "wrap", gap: "2px 8px", fontWeight: 500 }}>
                  {p.name || t("partners.unnamed")}
                  <ArchivedTag record={p} />
                </div>
                <div style={{ color: "var(--ant-color-text-secondary)", fontSize: 13 }}>
                  {[place(p), p.phone || p.mobile].filter(Boolean).join(" · ")}
                </div>
              </div>
            </div>
          </CardLink>
        )}
      />
    </Page>
  );
}
