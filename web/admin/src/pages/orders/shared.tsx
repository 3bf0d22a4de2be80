import { DownloadOutlined, ProjectOutlined, TableOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import { App, Button, Grid, Segmented } from "antd";
import dayjs from "dayjs";
import { useState } from "react";
import { useNavigate } from "react-router";
import { resonance } from "../../resonance.ts";
import { crudFilters, type Filters, ordersPath, sortersOf } from "./query.ts";
import { save } from "./save.ts";
import type { UsedQuery } from "./use-query.ts";

/** From the table to the board and back, with the same filters. */
export function ViewSwitch({ at, query }: { at: "/orders" | "/orders/board"; query: UsedQuery }) {
  const t = useTranslate();
  const navigate = useNavigate();
  const { sm } = Grid.useBreakpoint();
  return (
    <Segmented<"/orders" | "/orders/board">
      aria-label={t("orders.view.label")}
      value={at}
      onChange={(to) => void navigate(ordersPath(to, query.filters, { sort: query.sort }))}
      options={[
        {
          value: "/orders",
          icon: <TableOutlined aria-hidden />,
          label: sm ? t("orders.view.table") : <span className="only-read">{t("orders.view.table")}</span>,
        },
        {
          value: "/orders/board",
          icon: <ProjectOutlined aria-hidden />,
          label: sm ? t("orders.view.board") : <span className="only-read">{t("orders.view.board")}</span>,
        },
      ]}
    />
  );
}

/** Fetches the orders that match as CSV, with the token, and hands them over as a file. */
export function ExportButton({ filters, sort, disabled }: { filters: Filters; sort: string; disabled?: boolean }) {
  const t = useTranslate();
  const { md } = Grid.useBreakpoint();
  const { message } = App.useApp();
  const [busy, setBusy] = useState(false);
  const fetchAll = async () => {
    setBusy(true);
    try {
      const { data } = await resonance.dataProvider.custom<Blob>({
        url: "/api/orders/export.csv",
        method: "get",
        filters: crudFilters(filters),
        sorters: sortersOf(sort),
        meta: { timeout: 0 },
      });
      save(data as unknown as Blob, `${t("orders.export.file")}-${dayjs().format("YYYY-MM-DD")}.csv`);
    } catch (error) {
      void message.error((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button
      icon={<DownloadOutlined />}
      loading={busy}
      disabled={disabled}
      onClick={() => void fetchAll()}
      title={t("orders.export.title")}
    >
      {md ? t("orders.export.name") : <span className="only-read">{t("orders.export.name")}</span>}
    </Button>
  );
}
