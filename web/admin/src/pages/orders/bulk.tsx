import { CloseOutlined, DownOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import type { Order } from "@resonance/refine";
import { App, Button, Dropdown, Grid, theme } from "antd";
import { useCallback, useState } from "react";
import { PriorityTag, StatusTag } from "../../components/tags.tsx";
import { useFormat } from "../../i18n/format.ts";
import { resonance } from "../../resonance.ts";
import { useChoices } from "./choices.ts";
import type { Edit } from "./edits.tsx";
import { useKey } from "./keys.ts";
import type { Field } from "./own.ts";
import { crudFilters, sortersOf } from "./query.ts";
import type { UsedQuery } from "./use-query.ts";

const most = 1000; // orders, as many as the API changes at once

interface Props {
  selected: ReadonlyMap<string, Order>;
  setSelected: (orders: ReadonlyMap<string, Order>) => void;
  query: UsedQuery;
  total: number;
  edit: Edit;
}

/** What can be done with the selected orders, always in sight. */
export function BulkBar({ selected, setSelected, query, total, edit }: Props) {
  const t = useTranslate();
  const { number } = useFormat();
  const { token } = theme.useToken();
  const { sm } = Grid.useBreakpoint();
  const none = useCallback(() => setSelected(new Map()), [setSelected]);
  useKey("Escape", none);
  const choices = { status: useChoices("status"), priority: useChoices("priority") };

  const change = (field: Field) => (
    <Dropdown
      trigger={["click"]}
      placement="top"
      autoFocus
      menu={{
        items: choices[field].map((key) => ({
          key,
          label: field === "status" ? <StatusTag value={key} /> : <PriorityTag value={key} />,
        })),
        onClick: ({ key }) => {
          void edit([...selected.values()], { [field]: key }, { undo: true });
          none();
        },
      }}
    >
      <Button icon={<DownOutlined style={{ fontSize: 11 }} />} iconPosition="end" aria-haspopup="menu">
        {t(`orders.fields.${field}`)}
      </Button>
    </Dropdown>
  );

  return (
    <section
      aria-label={t("orders.bulk.label")}
      style={{
        position: "sticky",
        bottom: 16,
        zIndex: 15,
        display: "flex",
        flexWrap: "wrap",
        alignItems: "center",
        gap: 8,
        width: "fit-content",
        maxWidth: "100%",
        margin: "16px auto 0",
        padding: "8px 8px 8px 16px",
        borderRadius: token.borderRadiusLG,
        background: token.colorBgElevated,
        border: `1px solid ${token.colorBorderSecondary}`,
        boxShadow: token.boxShadowSecondary,
      }}
    >
      <strong role="status" style={{ fontWeight: 500, marginInlineEnd: 4 }}>
        {!sm && <span aria-hidden>{number(selected.size)}</span>}
        <span className={sm ? undefined : "only-read"}>
          {t(selected.size === 1 ? "orders.bulk.one" : "orders.bulk.many", { n: number(selected.size) })}
        </span>
      </strong>
      <SelectAll {...{ selected, setSelected, query, total }} />
      {change("status")}
      {change("priority")}
      <Button
        type="text"
        icon={<CloseOutlined />}
        onClick={none}
        aria-label={t("orders.bulk.none")}
        aria-keyshortcuts="Escape"
      >
        {sm && t("orders.bulk.none")}
      </Button>
    </section>
  );
}

/** Selects what is on other pages too, as many as can be changed at once. */
function SelectAll({ selected, setSelected, query, total }: Omit<Props, "edit">) {
  const t = useTranslate();
  const { number } = useFormat();
  const { message } = App.useApp();
  const [busy, setBusy] = useState(false);
  const n = Math.min(total, most);
  if (selected.size >= n || selected.size < Math.min(query.pageSize, total)) return null;
  const read = async () => {
    setBusy(true);
    try {
      const { data } = await resonance.dataProvider.getList<Order>({
        resource: "orders",
        filters: crudFilters(query.filters),
        sorters: sortersOf(query.sort),
        pagination: { currentPage: 1, pageSize: n },
      });
      setSelected(new Map(data.map((order) => [order.id, order])));
    } catch (error) {
      void message.error((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button type="link" loading={busy} onClick={() => void read()} style={{ paddingInline: 4 }}>
      {t(total > most ? "orders.bulk.first" : "orders.bulk.all", { n: number(n) })}
    </Button>
  );
}
