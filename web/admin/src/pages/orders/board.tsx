import { HolderOutlined, SwapOutlined } from "@ant-design/icons";
import {
  type Announcements,
  type CollisionDetection,
  DndContext,
  DragOverlay,
  type KeyboardCoordinateGetter,
  KeyboardSensor,
  MouseSensor,
  pointerWithin,
  rectIntersection,
  TouchSensor,
  useDraggable,
  useDroppable,
  useSensor,
  useSensors,
} from "@dnd-kit/core";
import { type HttpError, useCustom, useList, useTranslate } from "@refinedev/core";
import type { Order, OrdersSummary } from "@resonance/refine";
import { keepPreviousData } from "@tanstack/react-query";
import { Button, Card, Dropdown, Grid, Skeleton, theme } from "antd";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { Link, useLocation } from "react-router";
import { Page } from "../../components/page.tsx";
import { useMay } from "../../components/records/archive.tsx";
import { FreshnessNotice } from "../../components/records/freshness.tsx";
import { SearchBox } from "../../components/records/toolbar.tsx";
import { ErrorState } from "../../components/states.tsx";
import { StatusTag, statuses, statusTone } from "../../components/tags.tsx";
import { useFormat } from "../../i18n/format.ts";
import { useDark } from "../../preferences.ts";
import { toneOf } from "../../theme.ts";
import { cardsOf, columnOf, columnsOf, countsOf, filtersOf } from "./columns.ts";
import { useEdit, useWanted } from "./edits.tsx";
import { FilterButton, FilterChips } from "./filters.tsx";
import { useFlashes } from "./flashes.ts";
import { useSearchKey } from "./keys.ts";
import { type Origin, showPath } from "./origin.ts";
import { shown, type Values } from "./own.ts";
import { crudFilters, type Filters, sortersOf } from "./query.ts";
import { ViewSwitch } from "./shared.tsx";
import { useOrderQuery } from "./use-query.ts";
import { EditMark, Value } from "./values.tsx";

const step = 20; // cards that a column reads at a time

type Move = (order: Order, values: Values) => void;

/** How many orders each column has, kept up by what changes. */
function useCounts(filters: Filters) {
  const { query } = useCustom<OrdersSummary>({
    url: "/api/orders/summary",
    method: "get",
    config: { filters: crudFilters(filters) },
    errorNotification: false,
    // By this key it is read again with the orders.
    queryOptions: { queryKey: ["data", "default", "orders", "summary", filters], placeholderData: keepPreviousData },
  });
  const wanted = useWanted();
  const summary = query.data?.data;
  return { query, counts: useMemo(() => countsOf(summary, wanted), [summary, wanted]) };
}

export default function OrderBoard() {
  const t = useTranslate();
  const { number } = useFormat();
  const { md } = Grid.useBreakpoint();
  const query = useOrderQuery();
  const { counts, query: read } = useCounts(query.filters);
  const may = useMay("orders");
  const edit = useEdit();
  useSearchKey();
  const columns = columnsOf(query.filters, counts);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const move: Move | undefined = may
    ? (order, values) => void edit([order], values, { undo: values.status !== undefined })
    : undefined;

  return (
    <Page
      title={t("orders.board.title")}
      subtitle={read.data && t(total === 1 ? "orders.count.one" : "orders.count.many", { n: number(total) })}
      actions={<ViewSwitch at="/orders/board" query={query} />}
    >
      <search className="orders-tools">
        <SearchBox
          value={query.filters.q ?? ""}
          onSearch={(q) => q !== (query.filters.q ?? "") && query.filter({ q })}
          placeholder={t("orders.filters.searchIn")}
        />
        <FilterButton query={query} />
      </search>
      <FilterChips query={query} />
      <FreshnessNotice query={read} />
      <Dragging move={move}>
        <ul
          className="board"
          style={{ gridAutoColumns: md ? "minmax(204px, 1fr)" : "min(84vw, 320px)" }}
          aria-label={t("orders.board.title")}
        >
          {columns.map((column) => (
            <Column
              key={column}
              name={column}
              filters={query.filters}
              sort={query.sort}
              count={read.data ? (counts.get(column) ?? 0) : undefined}
              move={move}
            />
          ))}
        </ul>
      </Dragging>
    </Page>
  );
}

/** The name of a column. */
function useColumnName(): (column: string) => string {
  const t = useTranslate();
  return (column) =>
    (statuses as readonly string[]).includes(column) ? t(`status.${column}`) : t("orders.board.other");
}

/** Lets cards be dragged by mouse, finger and keys, and tells those who do not see it what happens. */
function Dragging({ move, children }: { move: Move | undefined; children: ReactNode }) {
  const t = useTranslate();
  const columnName = useColumnName();
  const [dragged, setDragged] = useState<Order>();
  const sensors = useSensors(
    useSensor(MouseSensor, { activationConstraint: { distance: 6 } }),
    useSensor(TouchSensor, { activationConstraint: { delay: 220, tolerance: 8 } }),
    useSensor(KeyboardSensor, { coordinateGetter: besides }),
  );
  const nameOf = (active: { data: { current?: unknown } }) => orderOf(active)?.name || t("orders.unnamed");
  const from = (active: { data: { current?: unknown } }) => columnName(columnOf(orderOf(active)?.status));
  const announcements: Announcements = {
    onDragStart: ({ active }) => t("orders.board.picked", { name: nameOf(active), from: from(active) }),
    onDragOver: ({ active, over }) =>
      over
        ? t("orders.board.over", { name: nameOf(active), to: columnName(String(over.id)) })
        : t("orders.board.nowhere", { name: nameOf(active) }),
    onDragEnd: ({ active, over }) =>
      over
        ? t("orders.board.dropped", { name: nameOf(active), to: columnName(String(over.id)) })
        : t("orders.board.cancelled", { name: nameOf(active), from: from(active) }),
    onDragCancel: ({ active }) => t("orders.board.cancelled", { name: nameOf(active), from: from(active) }),
  };
  return (
    <DndContext
      sensors={sensors}
      collisionDetection={under}
      accessibility={{ announcements, screenReaderInstructions: { draggable: t("orders.board.instructions") } }}
      onDragStart={({ active }) => setDragged(orderOf(active))}
      onDragCancel={() => setDragged(undefined)}
      onDragEnd={({ active, over }) => {
        setDragged(undefined);
        const order = orderOf(active);
        const to = over && String(over.id);
        if (order && to && to !== columnOf(order.status)) move?.(order, { status: to });
      }}
    >
      {children}
      <DragOverlay dropAnimation={null}>{dragged && <CardFace order={dragged} lifted />}</DragOverlay>
    </DndContext>
  );
}

const orderOf = (active: { data: { current?: unknown } }) =>
  (active.data.current as { order?: Order } | undefined)?.order;

/** Where the pointer is; with keys, where most of the card is. */
const under: CollisionDetection = (args) => (args.pointerCoordinates ? pointerWithin(args) : rectIntersection(args));

/** The arrows lead from column to column. */
const besides: KeyboardCoordinateGetter = (event, { context: { over, droppableRects } }) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.code];
  if (!by) {
    if (event.code.startsWith("Arrow")) event.preventDefault();
    return undefined;
  }
  event.preventDefault();
  const columns = [...droppableRects].sort(([, a], [, b]) => a.left - b.left);
  const next = columns[columns.findIndex(([id]) => id === over?.id) + by]?.[1];
  return next && { x: next.left + 8, y: Math.max(next.top, 80) + 48 };
};

interface ColumnProps {
  name: string;
  filters: Filters;
  sort: string;
  /** undefined: not known yet. */
  count: number | undefined;
  move: Move | undefined;
}

function Column({ name, filters, sort, count, move }: ColumnProps) {
  const t = useTranslate();
  const { number } = useFormat();
  const { token } = theme.useToken();
  const tone = toneOf(statusTone(name), useDark());
  const columnName = useColumnName()(name);
  const [size, setSize] = useState(step);
  const own = filtersOf(filters, name);
  const { query, result } = useList<Order, HttpError>({
    resource: "orders",
    filters: crudFilters(own),
    sorters: sortersOf(sort),
    pagination: { currentPage: 1, pageSize: size },
    queryOptions: { placeholderData: keepPreviousData },
    errorNotification: false,
  });
  const wanted = useWanted();
  const cards = useMemo(
    () => cardsOf(name, result.data, wanted).map((order) => shown(order, wanted)),
    [name, result.data, wanted],
  );
  const flashes = useFlashes(cards, wanted, query.isPlaceholderData ? "" : JSON.stringify([own, sort, size]));
  const { pathname, search } = useLocation();
  const origin = { back: pathname + search, ids: cards.map(({ id }) => id) };
  const { setNodeRef, isOver, active } = useDroppable({ id: name, disabled: !move || name === "other" });
  const more = !query.isPlaceholderData && result.data.length < (result.total ?? 0);
  const comes = isOver && active && columnOf(orderOf(active)?.status) !== name;

  return (
    <li
      ref={setNodeRef}
      className="board-column"
      style={{
        background: comes ? tone.soft : token.colorFillQuaternary,
        outline: comes ? `2px solid ${tone.solid}` : undefined,
      }}
    >
      <h2 style={{ display: "flex", alignItems: "center", gap: 8, margin: 0, padding: "12px 14px 8px", fontSize: 14 }}>
        <span aria-hidden style={{ width: 8, height: 8, borderRadius: 4, background: tone.solid }} />
        <span style={{ fontWeight: 600 }}>{columnName}</span>
        <span style={{ marginInlineStart: "auto", color: token.colorTextSecondary, fontWeight: 400 }}>
          {count === undefined ? "" : number(count)}
        </span>
      </h2>
      <div className="board-cards">
        {query.isError && !query.data ? (
          <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        ) : query.isPending ? (
          [0, 1, 2].map((i) => (
            <Card key={i} size="small">
              <Skeleton active title={false} paragraph={{ rows: 2 }} />
            </Card>
          ))
        ) : cards.length === 0 ? (
          <div style={{ padding: "20px 8px", textAlign: "center", color: token.colorTextSecondary }}>
            {t("orders.board.empty")}
          </div>
        ) : (
          <ul style={{ listStyle: "none", margin: 0, padding: 0, display: "grid", gap: 8 }}>
            {cards.map((order) => (
              <li key={order.id} style={{ minWidth: 0 }}>
                <DraggableCard order={order} origin={origin} flash={flashes.has(order.id)} move={move} />
              </li>
            ))}
          </ul>
        )}
        {more && <More busy={query.isFetching} onMore={() => setSize((now) => now + step)} />}
      </div>
    </li>
  );
}

/** Reads on when it comes into sight. */
function More({ busy, onMore }: { busy: boolean; onMore: () => void }) {
  const t = useTranslate();
  const ref = useRef<HTMLDivElement>(null);
  const call = useRef(onMore);
  call.current = onMore;
  useEffect(() => {
    if (!ref.current || busy) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && call.current(), {
      rootMargin: "120px",
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [busy]);
  return (
    <div ref={ref} style={{ paddingBlockStart: 8 }}>
      <Button block type="text" loading={busy} onClick={onMore}>
        {t("orders.board.more")}
      </Button>
    </div>
  );
}

interface CardProps {
  order: Order;
  origin?: Origin;
  flash?: boolean;
  move?: Move | undefined;
  /** It is being dragged. */
  lifted?: boolean;
  handle?: ReactNode;
}

function DraggableCard({ order, move, ...props }: CardProps) {
  const t = useTranslate();
  const { setNodeRef, setActivatorNodeRef, attributes, listeners, isDragging } = useDraggable({
    id: order.id,
    data: { order },
    disabled: !move,
  });
  const { onKeyDown, ...pointer } = listeners ?? {};
  const handle = move && (
    <button
      ref={setActivatorNodeRef}
      type="button"
      className="board-handle"
      {...attributes}
      aria-roledescription={undefined}
      aria-label={t("orders.board.drag", { name: order.name || t("orders.unnamed") })}
      onKeyDown={onKeyDown as never}
    >
      <HolderOutlined aria-hidden />
    </button>
  );
  return (
    <div ref={setNodeRef} {...pointer} style={{ opacity: isDragging ? 0.35 : 1 }}>
      <CardFace order={order} move={move} handle={handle} {...props} />
    </div>
  );
}

function CardFace({ order, origin, flash, move, lifted, handle }: CardProps) {
  const t = useTranslate();
  const { money, date } = useFormat();
  const { token } = theme.useToken();
  const name = order.name || t("orders.unnamed");
  const edit = move && ((values: Values) => move(order, values));
  return (
    <article
      className={flash ? "board-card order-flash" : "board-card"}
      style={{
        cursor: lifted ? "grabbing" : move ? "grab" : undefined,
        background: token.colorBgContainer,
        border: `1px solid ${token.colorBorderSecondary}`,
        borderRadius: token.borderRadius,
        boxShadow: lifted ? token.boxShadow : undefined,
      }}
    >
      {origin ? (
        <Link to={showPath(order.id)} state={origin} draggable={false} className="board-name">
          {name}
        </Link>
      ) : (
        <span className="board-name">{name}</span>
      )}
      <div className="board-line" style={{ color: token.colorTextSecondary, fontSize: 13 }}>
        {order.customer ?? "–"}
      </div>
      <div style={{ display: "flex", justifyContent: "space-between", gap: 8, marginBlock: "4px 6px" }}>
        <span style={{ fontWeight: 500 }}>{money(order.amount)}</span>
        <span style={{ color: token.colorTextSecondary, fontSize: 13 }}>{date(order.order_date)}</span>
      </div>
      <div style={{ display: "flex", alignItems: "center", minHeight: 28 }}>
        <Value order={order} field="priority" edit={lifted ? undefined : edit} />
        <EditMark order={order} field="status" edit={edit} />
        <span style={{ flex: 1 }} />
        {handle}
        {edit && origin && <MoveMenu order={order} edit={edit} />}
      </div>
    </article>
  );
}

/** The same as dragging, for who would rather choose. */
function MoveMenu({ order, edit }: { order: Order; edit: (values: Values) => void }) {
  const t = useTranslate();
  return (
    <Dropdown
      trigger={["click"]}
      placement="bottomRight"
      autoFocus
      menu={{
        items: [
          {
            type: "group",
            label: t("orders.board.moveTo"),
            children: statuses
              .filter((status) => status !== order.status)
              .map((status) => ({ key: status, label: <StatusTag value={status} /> })),
          },
        ],
        onClick: ({ key }) => edit({ status: key }),
      }}
    >
      <button
        type="button"
        className="board-handle"
        aria-haspopup="menu"
        aria-label={t("orders.board.move", { name: order.name || t("orders.unnamed") })}
      >
        <SwapOutlined aria-hidden />
      </button>
    </Dropdown>
  );
}
