import { type BaseRecord, useNavigation, useResourceParams, useTranslate } from "@refinedev/core";
import { Card, Grid, Pagination, Skeleton, Table, type TableColumnsType, theme } from "antd";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { useFormat } from "../../i18n/format.ts";
import { Empty } from "../states.tsx";
import { AwayState, FreshnessNotice, useFailure } from "./freshness.tsx";
import type { Rows } from "./use-rows.ts";

interface Props<T extends BaseRecord> {
  rows: Rows<T>;
  /** A column with `sorter` is sorted by the field that is its key. */
  columns: TableColumnsType<T>;
  /** A row as a card, for phones and the grid. */
  card: (record: T) => ReactNode;
  grid?: boolean;
  /** When there is nothing and no filter. */
  empty: ReactNode;
}

/** Rows as a table, or as cards on a phone and in a grid; and what stands there when there are none. */
export function RowList<T extends BaseRecord>({ rows, columns, card, grid = false, empty }: Props<T>) {
  const { md } = Grid.useBreakpoint();
  const { tableQuery: query, total } = rows;
  const failure = useFailure(query);
  if (failure) {
    return (
      <Card>
        <AwayState error={failure} onRetry={() => void query.refetch()} />
      </Card>
    );
  }
  const nothing = !query.isLoading && total === 0;
  return (
    <div aria-busy={query.isFetching}>
      <FreshnessNotice query={query} />
      {nothing ? (
        <Card>{rows.filters.length > 0 ? <NothingFits /> : empty}</Card>
      ) : md && !grid ? (
        <Card styles={{ body: { padding: 0, overflow: "hidden" } }}>
          <Heads rows={rows} columns={columns} />
          <Pager rows={rows} inside />
        </Card>
      ) : (
        <>
          {query.isLoading ? <CardsLoading grid={grid} /> : <Cards rows={rows.rows} card={card} grid={grid} />}
          <Pager rows={rows} />
        </>
      )}
    </div>
  );
}

/** How many there are, where orders say it too. */
export function RowCount<T extends BaseRecord>({ rows: { tableQuery, total = 0 } }: { rows: Rows<T> }) {
  const t = useTranslate();
  const { number } = useFormat();
  return tableQuery.data ? t("records.found", { count: total, formatted: number(total) }) : null;
}

function NothingFits() {
  const t = useTranslate();
  return <Empty title={t("records.nothing")} text={t("records.nothingText")} />;
}

function Heads<T extends BaseRecord>({ rows, columns }: { rows: Rows<T>; columns: TableColumnsType<T> }) {
  const { show } = useNavigation();
  const { resource } = useResourceParams();
  const { tableQuery: query, sort, initialSort } = rows;
  return (
    <Table<T>
      rowKey="id"
      size="middle"
      dataSource={query.isLoading ? placeholders<T>() : rows.rows}
      columns={columns.map((column) => ({
        ...column,
        ...(column.sorter && {
          sortOrder:
            sort.field === column.key ? (sort.order === "desc" ? ("descend" as const) : ("ascend" as const)) : null,
        }),
        ...(query.isLoading && {
          render: () => <Skeleton.Input active size="small" block style={{ maxWidth: 140 }} />,
        }),
      }))}
      pagination={false}
      showSorterTooltip={false}
      style={{ opacity: query.isPlaceholderData ? 0.55 : 1, transition: "opacity .15s .1s" }}
      onChange={(_, __, sorter) => {
        const { columnKey, order } = Array.isArray(sorter) ? (sorter[0] ?? {}) : sorter;
        rows.sortBy(order ? { field: String(columnKey), order: order === "descend" ? "desc" : "asc" } : initialSort);
      }}
      onRow={(record) => ({
        style: { cursor: "pointer" },
        onClick: (event) => {
          if ((event.target as Element).closest("a, button, .ant-dropdown, .ant-popover")) return;
          if (getSelection()?.toString()) return; // somebody copies
          if (resource && record.id !== undefined) show(resource.name, record.id);
        },
      })}
    />
  );
}

const placeholders = <T,>() => Array.from({ length: 8 }, (_, i) => ({ id: -1 - i })) as T[];

function Cards<T extends BaseRecord>({
  rows,
  card,
  grid,
}: {
  rows: T[];
  card: (record: T) => ReactNode;
  grid: boolean;
}) {
  return (
    <ul
      style={{
        display: "grid",
        gridTemplateColumns: grid ? "repeat(auto-fill, minmax(min(160px, 45%), 1fr))" : "minmax(0, 1fr)",
        gap: grid ? 16 : 10,
        listStyle: "none",
        margin: 0,
        padding: 0,
      }}
    >
      {rows.map((record) => (
        <li key={record.id} style={{ minWidth: 0 }}>
          {card(record)}
        </li>
      ))}
    </ul>
  );
}

function CardsLoading({ grid }: { grid: boolean }) {
  return (
    <Cards
      grid={grid}
      rows={Array.from({ length: 6 }, (_, id) => ({ id }))}
      card={() => (
        <Card>
          <Skeleton active title={false} paragraph={{ rows: grid ? 4 : 2 }} />
        </Card>
      )}
    />
  );
}

function Pager<T extends BaseRecord>({ rows, inside = false }: { rows: Rows<T>; inside?: boolean }) {
  const t = useTranslate();
  const { number } = useFormat();
  const { token } = theme.useToken();
  const { md } = Grid.useBreakpoint();
  const { total = 0, pageSize, currentPage, setCurrentPage } = rows;
  if (total <= pageSize) return null;
  const from = (currentPage - 1) * pageSize + 1;
  const range = { from: number(from), to: number(Math.min(total, currentPage * pageSize)), total: number(total) };
  return (
    <nav
      aria-label={t("records.pages")}
      style={{
        display: "flex",
        flexWrap: "wrap",
        alignItems: "center",
        justifyContent: "space-between",
        gap: 12,
        ...(inside
          ? { padding: "10px 16px", borderBlockStart: `1px solid ${token.colorBorderSecondary}` }
          : { paddingBlockStart: 16 }),
      }}
    >
      <span style={{ color: token.colorTextSecondary }} aria-live="polite">
        {t("records.range", range)}
      </span>
      <Pagination
        size={md ? "small" : "default"}
        simple={!md && { readOnly: true }}
        current={currentPage}
        pageSize={pageSize}
        total={total}
        showSizeChanger={false}
        onChange={(page) => {
          setCurrentPage(page);
          scrollTo({ top: 0 });
        }}
      />
    </nav>
  );
}

/** A card that leads to its record as a whole. */
export function CardLink({ to, children, dim }: { to: string; children: ReactNode; dim?: boolean }) {
  const { token } = theme.useToken();
  return (
    <Link
      to={to}
      style={{
        display: "block",
        height: "100%",
        color: token.colorText,
        background: token.colorBgContainer,
        border: `1px solid ${token.colorBorderSecondary}`,
        borderRadius: token.borderRadiusLG,
        overflow: "hidden",
        opacity: dim ? 0.8 : 1,
      }}
    >
      {children}
    </Link>
  );
}
