import { EditOutlined, PlusOutlined } from "@ant-design/icons";
import { type HttpError, useList, useNavigation, useResourceParams, useTranslate } from "@refinedev/core";
import type { Partner, Sale } from "@resonance/refine";
import { Alert, Button, Grid, Skeleton } from "antd";
import { Link } from "react-router";
import { ArchiveButton, ArchivedTag, useMay } from "../../components/records/archive.tsx";
import { Detail, Details } from "../../components/records/details.tsx";
import { AwayState, useFailure } from "../../components/records/freshness.tsx";
import { Columns, Panel, RecordPage, useRecord } from "../../components/records/record-page.tsx";
import { Empty } from "../../components/states.tsx";
import { Chip } from "../../components/tags.tsx";
import { useFormat } from "../../i18n/format.ts";
import { SaleTag } from "../sales/sale.tsx";
import { addressLines, type Kind, PartnerPicture, useKind, webAddress } from "./partner.tsx";

export default function PartnerShow() {
  const t = useTranslate();
  const kind = useKind();
  const { id } = useResourceParams();
  const { editUrl } = useNavigation();
  const may = useMay(kind);
  const { query, record: p } = useRecord<Partner>(kind, id);
  const tags = p && (
    <>
      <Chip tone="grey">{t(p.is_company ? "partners.kind.company" : "partners.kind.person")}</Chip>
      <ArchivedTag record={p} />
    </>
  );
  const actions = p && may && (
    <>
      <ArchiveButton resource={kind} record={p} />
      <Link to={editUrl(kind, p.id)}>
        <Button type="primary" icon={<EditOutlined />} tabIndex={-1}>
          {t("buttons.edit")}
        </Button>
      </Link>
    </>
  );
  return (
    <RecordPage
      list={kind}
      listTitle={t(`partners.${kind}.title`)}
      title={p && (p.name || t("partners.unnamed"))}
      subtitle={p?.parent?.name}
      query={query}
      tags={tags}
      actions={actions}
    >
      {p && <Facts partner={p} kind={kind} />}
    </RecordPage>
  );
}

function Facts({ partner: p, kind }: { partner: Partner; kind: Kind }) {
  const t = useTranslate();
  const { dateTime } = useFormat();
  const web = webAddress(p.website);
  const address = addressLines(p);
  const contact = p.email || p.phone || p.mobile || p.website;
  return (
    <Columns
      side={
        <>
          <Panel title={t("partners.contact")} extra={<PartnerPicture partner={p} kind={kind} size={36} />}>
            {!contact && <Quiet>{t("partners.noContact")}</Quiet>}
            <Details width={220}>
              <Detail name={t("partners.fields.email")}>
                {p.email && <a href={`mailto:${p.email}`}>{p.email}</a>}
              </Detail>
              <Detail name={t("partners.fields.phone")}>{p.phone && <a href={`tel:${p.phone}`}>{p.phone}</a>}</Detail>
              <Detail name={t("partners.fields.mobile")}>
                {p.mobile && <a href={`tel:${p.mobile}`}>{p.mobile}</a>}
              </Detail>
              <Detail name={t("partners.fields.website")}>
                {web ? (
                  <a href={web} target="_blank" rel="noreferrer">
                    {p.website}
                  </a>
                ) : (
                  p.website
                )}
              </Detail>
            </Details>
          </Panel>
          <Panel title={t("partners.address")}>
            {address.length > 0 ? (
              <address style={{ fontStyle: "normal" }}>
                {address.map((line) => (
                  <div key={line}>{line}</div>
                ))}
              </address>
            ) : (
              <Quiet>{t("partners.noAddress")}</Quiet>
            )}
          </Panel>
        </>
      }
    >
      {!p.active && <Alert type="info" showIcon message={t("records.archivedNote")} />}
      {kind !== "suppliers" && <LatestSales partner={p} />}
      <Panel title={t("partners.fiscal")}>
        <Details>
          <Detail name={t("partners.fields.vat")}>{p.vat}</Detail>
          <Detail name={t("partners.fields.ref")}>{p.ref}</Detail>
          <Detail name={t("partners.fields.company")}>{p.company?.name}</Detail>
          <Detail name={t("records.createdAt")}>{dateTime(p.created_at)}</Detail>
          <Detail name={t("records.updatedAt")}>{dateTime(p.updated_at)}</Detail>
        </Details>
      </Panel>
    </Columns>
  );
}

const few = 6;

function LatestSales({ partner }: { partner: Partner }) {
  const t = useTranslate();
  const { money, date } = useFormat();
  const { showUrl } = useNavigation();
  const { md } = Grid.useBreakpoint();
  const may = useMay("sales", "create");
  const { query, result } = useList<Sale, HttpError>({
    resource: "sales",
    filters: [{ field: "partner", operator: "eq", value: partner.id }],
    sorters: [{ field: "date_order", order: "desc" }],
    pagination: { pageSize: few },
    errorNotification: false,
  });
  const state = (sale: Sale) => (
    <span>
      <SaleTag state={sale.state} />
    </span>
  );
  const failure = useFailure(query);
  return (
    <Panel
      flush
      title={t("partners.sales.title")}
      extra={
        <span style={{ display: "flex", alignItems: "center", gap: 12 }}>
          {(result.total ?? 0) > few && <Link to={`/sales?partner=${partner.id}`}>{t("partners.sales.all")}</Link>}
          {may && partner.active && (
            <Link to={`/sales/create?partner=${partner.id}`}>
              <Button size="small" icon={<PlusOutlined />} tabIndex={-1}>
                {t("partners.sales.new")}
              </Button>
            </Link>
          )}
        </span>
      }
    >
      {failure ? (
        <AwayState error={failure} onRetry={() => void query.refetch()} />
      ) : query.isLoading ? (
        <div style={{ padding: 20 }}>
          <Skeleton active title={false} paragraph={{ rows: 3 }} />
        </div>
      ) : result.data.length === 0 ? (
        <Empty title={t("partners.sales.none")} />
      ) : (
        <ul style={{ listStyle: "none", margin: 0, padding: 0 }}>
          {result.data.map((sale, i) => (
            <li key={sale.id} style={i > 0 ? { borderBlockStart: "1px solid var(--ant-color-border-secondary)" } : {}}>
              <Link
                to={showUrl("sales", sale.id)}
                style={{
                  display: "grid",
                  gridTemplateColumns: md ? "minmax(0, 1fr) minmax(0, 1fr) 130px 110px" : "minmax(0, 1fr) auto",
                  alignItems: "center",
                  gap: md ? 12 : "4px 12px",
                  padding: "10px 20px",
                  color: "inherit",
                }}
              >
                <strong style={{ fontWeight: 500 }}>{sale.name}</strong>
                {md && <Quiet>{date(sale.date_order)}</Quiet>}
                {md && state(sale)}
                <span style={{ textAlign: "end" }}>{money(sale.amount_total, sale.currency?.name)}</span>
                {!md && <Quiet>{date(sale.date_order)}</Quiet>}
                {!md && state(sale)}
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Quiet({ children }: { children: React.ReactNode }) {
  return <span style={{ color: "var(--ant-color-text-secondary)" }}>{children}</span>;
}
