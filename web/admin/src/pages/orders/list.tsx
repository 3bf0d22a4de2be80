import { FilterFilled, SettingOutlined } from "@ant-design/icons";
import { type HttpError, useList, useTranslate } from "@refinedev/core";
import { type Order, orderColumns } from "@resonance/refine";
import { keepPreviousData } from "@tanstack/react-query";
import {
  Button,
  Card,
  Checkbox,
  Grid,
  Pagination,
  Segmented,
  Select,
  Skeleton,
  Table,
  type TableColumnType,
  theme,
} from "antd";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { Link, useLocation, useNavigate } from "react-router";
import { Page } from "../../components/page.tsx";
import { useMay } from "../../components/records/archive.tsx";
import { FreshnessNotice } from "../../components/records/freshness.tsx";
import { SearchBox } from "../../components/records/toolbar.tsx";
import { Empty, ErrorState } from "../../components/states.tsx";
import { Ago } from "../../components/time.tsx";
import { useWidth } from "../../components/use-width.ts";
import { useFormat } from "../../i18n/format.ts";
import { useLanguage } from "../../i18n/index.ts";
import { usePreference } from "../../preferences.ts";
import { BulkBar } from "./bulk.tsx";
import { OrderCard } from "./card.tsx";
import { type Edit, useEdit, useWanted } from "./edits.tsx";
import {
  AmountFilter,
  ChoiceFilter,
  CustomerFilter,
  DateFilter,
  FilterButton,
  FilterChips,
  HeadFilter,
} from "./filters.tsx";
import { useFlashes } from "./flashes.ts";
import { useSearchKey } from "./keys.ts";
import { type Origin, showPath } from "./origin.ts";
import { type Field, shown } from "./own.ts";
import { Pop } from "./pop.tsx";
import { columns as columnPreferences, density, useShownColumns } from "./preferences.ts";
import {
  type ColumnName,
  columnNames,
  crossed,
  crudFilters,
  pageSizes,
  sortersOf,
  titleOf,
  uncrossed,
} from "./query.ts";
import { ExportButton, ViewSwitch } from "./shared.tsx";
import { type UsedQuery, useOrderQuery } from "./use-query.ts";
import { Value } from "./values.tsx";

/** The orders that match, page by page. */
function usePage({ filters, sort, page, pageSize, change }: UsedQuery) {
  const { query, result } = useList<Order, HttpError>({
    resource: "orders",
    filters: crudFilters(filters),
    sorters: sortersOf(sort),
    pagination: { currentPage: page, pageSize },
    queryOptions: { placeholderData: keepPreviousData },
    errorNotification: false,
  });
  const wanted = useWanted();
  const orders = useMemo(() => result.data.map((order) => shown(order, wanted)), [result.data, wanted]);
  const place = JSON.stringify([filters, sort, page, pageSize]);
  const flashes = useFlashes(orders, wanted, query.isPlaceholderData ? "" : place);
  const { total = 0 } = result;

  const pages = Math.ceil(total / pageSize);
  const beyond = !query.isPlaceholderData && query.isSuccess && page > 1 && page > pages;
  useEffect(() => {
    if (beyond) change({ page: Math.max(1, pages) }, true);
  }, [beyond, pages, change]);
  return { query, orders, total, flashes };
}

export default function OrderList() {
  const t = useTranslate();
  const { number } = useFormat();
  const { md } = Grid.useBreakpoint();
  const query = useOrderQuery();
  const list = usePage(query);
  const may = useMay("orders");
  const edit = useEdit();
  const selection = useSelection(query);
  useSearchKey();

  const { total, query: read } = list;
  const filtered = Object.keys(query.filters).length > 0;
  const failed = read.isError && !read.data;

  return (
    <Page
      title={t("orders.title")}
      subtitle={read.data && t(total === 1 ? "orders.count.one" : "orders.count.many", { n: number(total) })}
      actions={
        <>
          <ViewSwitch at="/orders" query={query} />
          <ExportButton filters={query.filters} sort={query.sort} disabled={total === 0} />
        </>
      }
    >
      <search className="orders-tools">
        <SearchBox
          value={query.filters.q ?? ""}
          onSearch={(q) => q !== (query.filters.q ?? "") && query.filter({ q })}
          placeholder={t("orders.filters.searchIn")}
        />
        <FilterButton query={query}>{!md && <SortSelect query={query} />}</FilterButton>
        {md && <ViewOptions />}
      </search>
      <FilterChips query={query} />
      {failed ? (
        <Card>
          <ErrorState error={read.error} onRetry={() => void read.refetch()} />
        </Card>
      ) : (
        <div aria-busy={read.isFetching}>
          <FreshnessNotice query={read} />
          {read.isSuccess && total === 0 ? (
            <Card>
              {filtered ? (
                <NothingMatches query={query} />
              ) : (
                <Empty
                  title={t("orders.empty.all")}
                  text={t("orders.empty.allText")}
                  action={
                    <Link to="/sync">
                      <Button tabIndex={-1}>{t("nav.sync")}</Button>
                    </Link>
                  }
                />
              )}
            </Card>
          ) : md ? (
            <Card styles={{ body: { padding: 0 } }} style={{ overflow: "clip" }}>
              <Rows query={query} list={list} edit={may ? edit : undefined} selection={may ? selection : undefined} />
              <Pager query={query} total={total} inside />
            </Card>
          ) : (
            <>
              <Cards query={query} list={list} edit={may ? edit : undefined} selection={may ? selection : undefined} />
              <Pager query={query} total={total} />
            </>
          )}
        </div>
      )}
      {may && selection.selected.size > 0 && <BulkBar {...selection} query={query} total={total} edit={edit} />}
    </Page>
  );
}

function NothingMatches({ query }: { query: UsedQuery }) {
  const t = useTranslate();
  const wrong = crossed(query.filters);
  return (
    <Empty
      title={t("orders.empty.filtered")}
      text={t(wrong ? "orders.filters.crossed" : "orders.empty.filteredText")}
      action={
        <>
          {wrong && (
            <Button
              type="primary"
              onClick={() => query.filter(uncrossed(query.filters))}
              style={{ marginInlineEnd: 8 }}
            >
              {t("orders.filters.swap")}
            </Button>
          )}
          <Button onClick={query.clear}>{t("orders.filters.clear")}</Button>
        </>
      }
    />
  );
}

const none: ReadonlyMap<string, Order> = new Map();

/** The orders that are selected among those that match. With other filters, none are. */
function useSelection({ filters }: UsedQuery) {
  const among = JSON.stringify(filters);
  const [selection, setSelection] = useState({ among, orders: none });
  const setSelected = useCallback((orders: ReadonlyMap<string, Order>) => setSelection({ among, orders }), [among]);
  return { selected: selection.among === among ? selection.orders : none, setSelected };
}

interface RowsProps {
  query: UsedQuery;
  list: ReturnType<typeof usePage>;
  edit: Edit | undefined;
  selection: ReturnType<typeof useSelection> | undefined;
}

/** What one order's page is told of where it was come to from. */
function useListOrigin(orders: Order[]): Origin {
  const { pathname, search } = useLocation();
  return useMemo(() => ({ back: pathname + search, ids: orders.map(({ id }) => id) }), [pathname, search, orders]);
}

function Rows({ query, list: { query: read, orders, flashes }, edit, selection }: RowsProps) {
  const { token } = theme.useToken();
  const t = useTranslate();
  const size = usePreference(density);
  const navigate = useNavigate();
  const origin = useListOrigin(orders);
  const columns = useColumns(query);
  const surroundings = useMemo(() => ({ edit, origin }), [edit, origin]);
  const least = columns.reduce((sum, { width = flexible }) => sum + Number(width), selection ? selectionWidth : 0);
  const [ref, width] = useWidth();
  const fits = width === 0 || width >= least;
  const loading = read.isPending;
  return (
    <Surroundings value={surroundings}>
      <section
        ref={ref}
        className={fits ? "orders-table orders-table-fits" : "orders-table"}
        aria-label={fits ? undefined : t("orders.scroll")}
        tabIndex={fits ? undefined : 0}
      >
        <Table<Order>
          rowKey="id"
          size={size}
          tableLayout="fixed"
          pagination={false}
          showSorterTooltip={false}
          dataSource={loading ? placeholders : orders}
          columns={
            loading
              ? columns.map((column) => ({
                  ...column,
                  ellipsis: false,
                  render: () => <Skeleton.Input active size="small" block style={{ minWidth: 0, maxWidth: 120 }} />,
                }))
              : columns
          }
          rowClassName={({ id }) => (flashes.has(id) ? "order-row order-flash" : "order-row")}
          rowSelection={
            selection && {
              columnWidth: selectionWidth,
              selectedRowKeys: [...selection.selected.keys()],
              preserveSelectedRowKeys: true,
              getCheckboxProps: ({ name, id }) => ({ "aria-label": name ?? id, disabled: loading }) as object,
              onChange: (_, rows) =>
                selection.setSelected(new Map(rows.filter(Boolean).map((order) => [order.id, order]))),
            }
          }
          onChange={(_, __, sorter) => {
            const { columnKey, order } = Array.isArray(sorter) ? (sorter[0] ?? {}) : sorter;
            query.change({ sort: order ? (order === "descend" ? "-" : "") + String(columnKey) : "", page: 1 });
          }}
          onRow={({ id }) => ({
            onClick: ({ target }) => {
              if (loading || !(target instanceof Element) || !target.closest("td")) return;
              if (target.closest("a, button, input, label, .ant-table-selection-column, .ant-dropdown, .ant-popover"))
                return;
              if (getSelection()?.toString()) return; // somebody copies
              void navigate(showPath(id), { state: origin });
            },
          })}
          style={{
            opacity: read.isPlaceholderData ? 0.6 : 1,
            transition: token.motion ? "opacity .15s .15s" : undefined,
            minWidth: least,
          }}
        />
      </section>
    </Surroundings>
  );
}

const selectionWidth = 44; // px, as all widths of columns
const flexible = 170; // at least, of the column that takes the rest

const placeholders = Array.from({ length: 10 }, (_, i) => ({ id: `…${i}` })) as Order[];

function useColumns({ filters, filter, sort }: UsedQuery): TableColumnType<Order>[] {
  const t = useTranslate();
  const language = useLanguage();
  const sorted = sort.replace(/^-/, "");

  const heads: Partial<Record<ColumnName, TableColumnType<Order>>> = {
    name: { width: 150, ellipsis: true, className: "order-name" },
    customer: {
      ellipsis: true,
      ...head(
        filters.customer,
        <CustomerFilter filters={filters} filter={filter} autoFocus />,
        () => filter({ customer: "" }),
        260,
      ),
    },
    status: {
      width: 166,
      ...head(filters.status, <ChoiceFilter field="status" filters={filters} filter={filter} />, () =>
        filter({ status: "" }),
      ),
    },
    priority: {
      width: 150,
      ...head(filters.priority, <ChoiceFilter field="priority" filters={filters} filter={filter} />, () =>
        filter({ priority: "" }),
      ),
    },
    amount: {
      width: 130,
      align: "right",
      ...head(
        filters.amount_gte || filters.amount_lte,
        <AmountFilter filters={filters} filter={filter} />,
        () => filter({ amount_gte: "", amount_lte: "" }),
        280,
      ),
    },
    order_date: {
      width: 140,
      ...head(
        filters.start_date || filters.end_date,
        <DateFilter filters={filters} filter={filter} />,
        () => filter({ start_date: "", end_date: "" }),
        340,
      ),
    },
    updated_at: { width: 160, ellipsis: true },
    created_at: { width: 170, ellipsis: true },
  };

  return useShownColumns().map((name) => {
    const Cell = cells[name];
    return {
      key: name,
      title: t(`orders.fields.${name}`, undefined, titleOf(name, language)),
      sorter: true,
      sortOrder: sorted === name ? (sort.startsWith("-") ? "descend" : "ascend") : null,
      render: (_, order) => (Cell ? <Cell order={order} /> : <PlainCell order={order} name={name} />),
      shouldCellUpdate: (now, before) => now !== before, // what else a cell shows, it sees to by itself
      ...(heads[name] ?? { width: 150, ellipsis: true }),
    };
  });
}

/** What cells need besides their order. */
const Surroundings = createContext<{ edit: Edit | undefined; origin: Origin }>({
  edit: undefined,
  origin: { back: "/orders", ids: [] },
});

type CellProps = { order: Order };

const cells: Partial<Record<ColumnName, (props: CellProps) => ReactNode>> = {
  name: NameCell,
  customer: ({ order }) => order.customer ?? "–",
  status: ({ order }) => <ValueCell order={order} field="status" />,
  priority: ({ order }) => <ValueCell order={order} field="priority" />,
  amount: ({ order }) => useFormat().money(order.amount),
  order_date: ({ order }) => useFormat().date(order.order_date),
  updated_at: ({ order }) => <Ago value={order.updated_at} />,
  created_at: ({ order }) => useFormat().dateTime(order.created_at),
};

/** A column that nothing more is known of than its kind. */
function PlainCell({ order, name }: CellProps & { name: ColumnName }) {
  const { number, date, dateTime } = useFormat();
  const value = order[name];
  const kind = orderColumns.find((column) => column.name === name)?.kind;
  if (value === null || value === undefined || value === "") return "–";
  if (kind === "number") return number(Number(value));
  if (kind === "date") return date(String(value));
  return kind === "time" ? dateTime(String(value)) : String(value);
}

function NameCell({ order: { id, name } }: CellProps) {
  const t = useTranslate();
  return (
    <Link to={showPath(id)} state={useContext(Surroundings).origin} style={{ fontWeight: 500 }}>
      {name || t("orders.unnamed")}
    </Link>
  );
}

function ValueCell({ order, field }: CellProps & { field: Field }) {
  const { edit } = useContext(Surroundings);
  return <Value order={order} field={field} edit={edit && ((values) => void edit([order], values))} />;
}

/** A filter in the head of a column. */
function head(
  active: string | undefined,
  children: ReactNode,
  clear: () => void,
  width?: number,
): TableColumnType<Order> {
  return {
    filtered: Boolean(active),
    filterIcon: <FilterFilled />,
    filterDropdown: () => (
      <HeadFilter clear={active ? clear : undefined} width={width}>
        {children}
      </HeadFilter>
    ),
    filterDropdownProps: { destroyOnHidden: true } as never,
  };
}

/** How the table looks: its columns, and how much room a row has. */
function ViewOptions() {
  const t = useTranslate();
  const language = useLanguage();
  const shownColumns = useShownColumns();
  const now = usePreference(density);
  const [open, setOpen] = useState(false);
  const titles = { middle: t("orders.density.middle"), small: t("orders.density.small") };
  return (
    <Pop
      label={t("orders.view.options")}
      placement="bottomLeft"
      open={open}
      onOpen={setOpen}
      content={
        <div style={{ display: "grid", gap: 16, padding: 4, minWidth: 200 }}>
          <Segmented<"middle" | "small">
            block
            aria-label={t("orders.density.label")}
            value={now}
            onChange={density.set}
            options={(["middle", "small"] as const).map((value) => ({ value, label: titles[value] }))}
          />
          <fieldset style={{ display: "grid", gap: 8, margin: 0, padding: 0, border: 0 }}>
            <legend style={{ fontWeight: 500, padding: "0 0 8px" }}>{t("orders.columns")}</legend>
            {columnNames.slice(1).map((name) => (
              <Checkbox
                key={name}
                checked={shownColumns.includes(name)}
                onChange={({ target }) => columnPreferences[name].set(target.checked ? "shown" : "hidden")}
              >
                {t(`orders.fields.${name}`, undefined, titleOf(name, language))}
              </Checkbox>
            ))}
          </fieldset>
        </div>
      }
    >
      <Button icon={<SettingOutlined />} aria-haspopup="dialog" aria-expanded={open}>
        {t("orders.view.options")}
      </Button>
    </Pop>
  );
}

const sorts = ["-order_date", "order_date", "-amount", "amount", "-updated_at", "customer", "name"];

/** The order of rows, where there are no heads of columns to choose it by. */
function SortSelect({ query: { sort, change } }: { query: UsedQuery }) {
  const t = useTranslate();
  return (
    <div>
      <div aria-hidden style={{ fontWeight: 500, marginBlockEnd: 8 }}>
        {t("orders.sort.label")}
      </div>
      <Select
        aria-label={t("orders.sort.label")}
        value={sort}
        onChange={(next) => change({ sort: next, page: 1 })}
        options={[...new Set([...sorts, sort])].map((value) => ({
          value,
          label: t(`orders.sort.${value}`, undefined, t(`orders.fields.${value.replace(/^-/, "")}`)),
        }))}
        style={{ width: "100%" }}
      />
    </div>
  );
}

/** The rows on a phone. */
function Cards({ query: { pageSize }, list: { query: read, orders, flashes }, edit, selection }: RowsProps) {
  const origin = useListOrigin(orders);
  if (read.isPending)
    return (
      <div style={{ display: "grid", gap: 10 }}>
        {Array.from({ length: Math.min(pageSize, 5) }, (_, i) => (
          <Card key={String(i)} styles={{ body: { padding: 14 } }}>
            <Skeleton active title={false} paragraph={{ rows: 2 }} />
          </Card>
        ))}
      </div>
    );
  return (
    <ul
      style={{
        display: "grid",
        gap: 10,
        listStyle: "none",
        margin: 0,
        padding: 0,
        opacity: read.isPlaceholderData ? 0.6 : 1,
      }}
    >
      {orders.map((order) => {
        const chosen = selection?.selected.has(order.id) ?? false;
        const choose = (to: boolean) => {
          const next = new Map(selection?.selected);
          if (to) next.set(order.id, order);
          else next.delete(order.id);
          selection?.setSelected(next);
        };
        return (
          <li key={order.id} style={{ minWidth: 0 }}>
            <OrderCard
              order={order}
              origin={origin}
              flash={flashes.has(order.id)}
              edit={edit && ((values) => void edit([order], values))}
              selection={selection && { chosen, choose }}
            />
          </li>
        );
      })}
    </ul>
  );
}

function Pager({ query, total, inside = false }: { query: UsedQuery; total: number; inside?: boolean }) {
  const t = useTranslate();
  const { number } = useFormat();
  const { token } = theme.useToken();
  const { md, xl } = Grid.useBreakpoint();
  const { page, pageSize, change } = query;
  if (total === 0) return null;
  const range = {
    from: number((page - 1) * pageSize + 1),
    to: number(Math.min(total, page * pageSize)),
    total: number(total),
  };
  return (
    <nav
      aria-label={t("orders.pages")}
      style={{
        display: "flex",
        flexWrap: "wrap",
        alignItems: "center",
        justifyContent: md ? "space-between" : "center",
        gap: 12,
        ...(inside
          ? { padding: "10px 16px", borderBlockStart: `1px solid ${token.colorBorderSecondary}` }
          : { paddingBlockStart: 16 }),
      }}
    >
      <span style={{ color: token.colorTextSecondary }}>{t("orders.range", range)}</span>
      <Pagination
        size={md ? "small" : "default"}
        simple={!md && { readOnly: true }}
        showQuickJumper={xl && total > pageSize * 10}
        current={page}
        pageSize={pageSize}
        total={total}
        showSizeChanger={md && { "aria-label": t("orders.pageSize") }}
        pageSizeOptions={pageSizes}
        onChange={(to, size) => {
          change({ page: size === pageSize ? to : 1, pageSize: size });
          scrollTo({ top: 0 });
        }}
      />
    </nav>
  );
}
