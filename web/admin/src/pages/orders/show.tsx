import { ArrowDownOutlined, ArrowUpOutlined, CopyOutlined } from "@ant-design/icons";
import { type HttpError, useOne, useResourceParams, useTranslate } from "@refinedev/core";
import type { Order } from "@resonance/refine";
import { Alert, App, Button, Card, Grid, Space } from "antd";
import { useCallback } from "react";
import { useNavigate } from "react-router";
import { Page } from "../../components/page.tsx";
import { useMay } from "../../components/records/archive.tsx";
import { Detail, Details } from "../../components/records/details.tsx";
import { FreshnessNotice } from "../../components/records/freshness.tsx";
import { Back, Panel } from "../../components/records/record-page.tsx";
import { Empty, ErrorState, PageLoading } from "../../components/states.tsx";
import { useOrderTexts } from "../../components/tags.tsx";
import { Ago } from "../../components/time.tsx";
import { useFormat } from "../../i18n/format.ts";
import { CellView, isWide } from "./cells.tsx";
import { dismiss, useDismissed } from "./dismissed.ts";
import { useEdit, useWanted } from "./edits.tsx";
import { useFlashes } from "./flashes.ts";
import { History } from "./history.tsx";
import { useKey } from "./keys.ts";
import { type Origin, showPath, useOrigin } from "./origin.ts";
import { type Field, shown, type Values } from "./own.ts";
import { Value } from "./values.tsx";

export default function OrderShow() {
  const { id } = useResourceParams();
  // Refine does not subscribe anew when the id changes.
  return id === undefined ? null : <OrderPage key={id} id={String(id)} />;
}

function OrderPage({ id }: { id: string }) {
  const t = useTranslate();
  const { lg } = Grid.useBreakpoint();
  const { query, result } = useOne<Order, HttpError>({ resource: "orders", id, errorNotification: false });
  const wanted = useWanted();
  const read = result ? [shown(result, wanted)] : [];
  const [order] = read;
  const flash = useFlashes(read, wanted, id).has(id);
  const may = useMay("orders");
  const edit = useEdit();
  const { origin, previous, next } = useOrigin(id);
  const board = origin.back.startsWith("/orders/board");
  const back = <Back to={origin.back}>{t(board ? "nav.board" : "orders.title")}</Back>;

  if (!order)
    return (
      <Page title={t("orders.one")} back={back}>
        {query.isError ? (
          <Card>
            <ErrorState error={query.error} onRetry={() => void query.refetch()} />
          </Card>
        ) : (
          <PageLoading />
        )}
      </Page>
    );

  const gone = query.error?.statusCode === 404;
  const change = may && !gone ? (values: Values) => void edit([order], values) : undefined;
  return (
    <Page
      title={order.name || t("orders.unnamed")}
      back={back}
      tags={
        <Space size={8}>
          <Value order={order} field="status" edit={change} />
          <Value order={order} field="priority" edit={change} />
        </Space>
      }
      actions={<Neighbours origin={origin} previous={previous} next={next} />}
    >
      {gone ? (
        <Alert type="warning" showIcon message={t("orders.gone")} style={{ marginBlockEnd: 16 }} />
      ) : (
        <FreshnessNotice query={query} />
      )}
      <Refused order={order} edit={change} />
      <div
        style={{
          display: "grid",
          gridTemplateColumns: lg ? "minmax(0, 1fr) minmax(300px, 400px)" : "minmax(0, 1fr)",
          gap: 16,
          alignItems: "start",
        }}
      >
        <div style={{ display: "grid", gap: 16 }}>
          <Facts order={order} flash={flash} />
          <AirtableFields order={order} />
        </div>
        <Panel title={t("orders.history.title")}>
          <History id={id} />
        </Panel>
      </div>
    </Page>
  );
}

/** The orders before and after this one in the list it was come to from; also by J and K. */
function Neighbours({ origin, previous, next }: { origin: Origin; previous?: string; next?: string }) {
  const t = useTranslate();
  const navigate = useNavigate();
  const go = useCallback(
    (to: string | undefined) => void (to && navigate(showPath(to), { state: origin, replace: true })),
    [navigate, origin],
  );
  useKey("k", () => go(previous));
  useKey("j", () => go(next));
  useKey("Escape", () => void navigate(origin.back));
  if (origin.ids.length < 2) return null;
  return (
    <Space.Compact>
      <Button
        icon={<ArrowUpOutlined />}
        disabled={!previous}
        onClick={() => go(previous)}
        aria-label={t("orders.previous")}
        aria-keyshortcuts="K"
        title={`${t("orders.previous")} (K)`}
      />
      <Button
        icon={<ArrowDownOutlined />}
        disabled={!next}
        onClick={() => go(next)}
        aria-label={t("orders.next")}
        aria-keyshortcuts="J"
        title={`${t("orders.next")} (J)`}
      />
    </Space.Compact>
  );
}

/** What Airtable refused last, in full. */
function Refused({ order: { edit: newest }, edit }: { order: Order; edit?: (values: Values) => void }) {
  const t = useTranslate();
  const { list } = useFormat();
  const names = useOrderTexts();
  const dismissed = useDismissed();
  if (newest?.state !== "rejected" || dismissed.includes(newest.id)) return null;
  const wanted = (Object.entries(newest.values) as [Field, string][]).map(([field, value]) =>
    t("orders.edit.wanted", { field: t(`orders.fields.${field}`), value: names[field](value) }),
  );
  return (
    <Alert
      type="error"
      showIcon
      style={{ marginBlockEnd: 16 }}
      message={t("orders.edit.rejectedTitle", { changes: list(wanted) })}
      description={
        <>
          {newest.reason}{" "}
          <span style={{ whiteSpace: "nowrap" }}>
            ({newest.actor.name ?? newest.actor.email ?? newest.actor.id},{" "}
            <Ago value={newest.settled_at ?? newest.at} />)
          </span>
        </>
      }
      action={
        <Space direction="vertical">
          {edit && (
            <Button size="small" onClick={() => edit(newest.values)}>
              {t("states.retry")}
            </Button>
          )}
          <Button size="small" type="text" onClick={() => dismiss(newest.id)}>
            {t("orders.edit.dismiss")}
          </Button>
        </Space>
      }
    />
  );
}

function Facts({ order, flash }: { order: Order; flash: boolean }) {
  const t = useTranslate();
  const { money, date, dateTime } = useFormat();
  return (
    <Card className={flash ? "order-flash" : undefined}>
      <Details width={130}>
        <Detail name={t("orders.fields.customer")}>{order.customer ?? "–"}</Detail>
        <Detail name={t("orders.fields.amount")}>
          <span style={{ fontSize: 18, fontWeight: 500 }}>{money(order.amount)}</span>
        </Detail>
        <Detail name={t("orders.fields.order_date")}>{date(order.order_date)}</Detail>
        <Detail name={t("orders.fields.updated_at")}>
          <Ago value={order.updated_at} />
        </Detail>
        <Detail name={t("orders.fields.created_at")}>{dateTime(order.created_at)}</Detail>
        <Detail name={t("orders.id")}>
          <CopyId id={order.record_id} />
        </Detail>
      </Details>
    </Card>
  );
}

/** The record's id, which nobody wants to read but to paste. */
function CopyId({ id }: { id: string }) {
  const t = useTranslate();
  const { message } = App.useApp();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(id);
      void message.success(t("orders.copied"));
    } catch {
      void message.error(t("orders.notCopied", { id })); // pages without TLS have no clipboard
    }
  };
  return (
    <Button size="small" icon={<CopyOutlined />} onClick={() => void copy()} aria-label={t("orders.copyId")} title={id}>
      {t("orders.copy")}
    </Button>
  );
}

/** Every field of the record that is not empty, by the names it has in Airtable. */
function AirtableFields({ order }: { order: Order }) {
  const t = useTranslate();
  // The API does not say which field is which column: those with a column's value stand above already.
  const above = [order.name, order.customer, order.status, order.priority, order.amount, order.order_date];
  const entries = Object.entries(order.fields ?? {}).filter(([, value]) => !above.includes(value as string));
  const item = ([name, value]: [string, unknown]) => (
    <Detail key={name} name={name}>
      <CellView value={value} />
    </Detail>
  );
  const wide = entries.filter(([, value]) => isWide(value));
  return (
    <Panel title={t("orders.airtable")}>
      {entries.length === 0 ? (
        <Empty title={t("orders.noFields")} />
      ) : (
        <div style={{ display: "grid", gap: 16 }}>
          <Details width={140}>{entries.filter((entry) => !wide.includes(entry)).map(item)}</Details>
          {wide.length > 0 && <Details width={600}>{wide.map(item)}</Details>}
        </div>
      )}
    </Panel>
  );
}
