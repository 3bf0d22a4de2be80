import { useInvalidate, useTranslate, useUpdateMany } from "@refinedev/core";
import type { Order, PartialError } from "@resonance/refine";
import { App, Button } from "antd";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { useFormat } from "../../i18n/format.ts";
import { resonance } from "../../resonance.ts";
import { useUndoable } from "../../undo.ts";
import { type Batch, type Field, has, OwnEdits, type Values, type Wanted } from "./own.ts";

const watched = 120_000; // ms after which Airtable's answer is only seen in the rows
const gathering = 500; // ms in which refusals become one message

const own = new OwnEdits();

addEventListener("beforeunload", (event) => {
  if (own.flush()) event.preventDefault();
});

/** What is wanted of orders and not read yet, by id. */
export const useWanted = (): ReadonlyMap<string, Wanted> => useSyncExternalStore(own.listen, own.get);

/** Why an order does not have what was wanted of it. */
interface Refusal {
  order: Order;
  reason: string;
}

/** Gives orders values. With `undo` it is sent some seconds later, unless it is undone. */
export type Edit = (orders: Order[], values: Values, options?: { undo?: boolean }) => Promise<void>;

/**
 * Edits orders: shown at once, sent, and followed until Airtable has taken or refused them. What goes well shows in
 * the rows; what goes wrong is said too. It goes on when the page that began it is left.
 */
export function useEdit(): Edit {
  const say = useSay();
  const countdown = useCountdown();
  const invalidate = useInvalidate();
  const { mutateAsync } = useUpdateMany<Order>();

  return useCallback(
    async function edit(orders, values, { undo = false } = {}) {
      // What is known of many may be old: they are all sent. One was in sight when it was chosen.
      const [only] = orders;
      if (!only || (orders.length === 1 && has(only, values) && !own.get().has(only.id))) return;
      const batch = own.begin(orders, values);
      const refused = (refusals: Refusal[]) => {
        const again = refusals.map(({ order }) => order);
        say.refused(refusals, orders.length, () => void edit(again, values));
      };
      try {
        if (undo && !(await countdown(batch))) return;
        await own.turn(async () => {
          const forget = watch(orders, (rejected) => {
            void reasonsOf(rejected, values).then(refused, () => undefined); // the rows say it too
          });
          try {
            await mutateAsync({
              resource: "orders",
              ids: orders.map(({ id }) => id),
              values,
              mutationMode: "pessimistic",
              invalidates: [],
              successNotification: false,
              errorNotification: false,
            });
            if (orders.length > 1) say.accepted(orders.length);
          } catch (error) {
            const refusals = failuresOf(orders, error as Partial<PartialError>);
            forget(refusals.map(({ order }) => order.id));
            refused(refusals);
          }
        });
        await invalidate({
          resource: "orders",
          invalidates: ["resourceAll"],
          invalidationFilters: { type: "active", refetchType: "active" },
          invalidationOptions: { cancelRefetch: true },
        });
      } finally {
        own.end(batch);
      }
    },
    [countdown, invalidate, mutateAsync, say],
  );
}

function failuresOf(orders: Order[], error: Partial<PartialError>): Refusal[] {
  if (!error.failed) return orders.map((order) => ({ order, reason: String(error.message) }));
  const reasons = new Map(error.failed.map(({ id, error }) => [String(id), error.message]));
  return orders.flatMap((order) => {
    const reason = reasons.get(order.id);
    return reason === undefined ? [] : [{ order, reason }];
  });
}

/**
 * Tells, some at a time, which of the orders Airtable refuses to change. Listens from before the edits are sent:
 * they may settle before the answer is here. What it gives takes orders out of it.
 */
function watch(orders: Order[], rejected: (orders: Order[]) => void): (ids: string[]) => void {
  const waiting = new Map(orders.map((order) => [order.id, order]));
  const refused: Order[] = [];
  const stop = resonance.liveProvider.onEdit(({ recordId, state }) => {
    const order = waiting.get(recordId);
    if (!order || state === "pending") return;
    if (state === "rejected") {
      if (refused.push(order) === 1) setTimeout(() => rejected(refused.splice(0)), gathering);
    }
    forget([recordId]);
  });
  const late = setTimeout(stop, watched);
  function forget(ids: string[]): void {
    for (const id of ids) waiting.delete(id);
    if (waiting.size > 0) return;
    clearTimeout(late);
    stop();
  }
  return forget;
}

/** The orders' reasons, as the API has them; an order that has another edit by now is left out. */
async function reasonsOf(orders: Order[], values: Values): Promise<Refusal[]> {
  const ids = orders.map(({ id }) => id);
  const { data } = await resonance.dataProvider.getMany<Order>({ resource: "orders", ids });
  return data.flatMap((order) => {
    const { edit } = order;
    const same = edit?.state === "rejected" && Object.entries(values).every(([f, v]) => edit.values[f as Field] === v);
    return same ? [{ order, reason: edit.reason ?? "" }] : [];
  });
}

/** Counts down beside a way back. False if that was taken. */
function useCountdown() {
  const t = useTranslate();
  const { number } = useFormat();
  const undoable = useUndoable();
  return useCallback(
    async (batch: Batch) => {
      const { orders, values } = batch;
      const [first] = orders;
      const [to = ""] = Object.entries(values).map(([field, value]) => t(`${field}.${value}`, undefined, value));
      const { decided, hurry } = undoable(
        orders.length === 1
          ? t("orders.edit.willOne", { name: first?.name ?? t("orders.unnamed"), to })
          : t("orders.edit.will", { n: number(orders.length), to }),
      );
      batch.hurry = hurry;
      const go = await decided;
      batch.hurry = undefined;
      return go;
    },
    [t, number, undoable],
  );
}

/** Messages of what became of edits. They are shown outside of every page, and outlive it. */
function useSay() {
  const t = useTranslate();
  const { number } = useFormat();
  const { notification, modal, message } = App.useApp();
  return useMemo(() => {
    const accepted = (count: number) => void message.success(t("orders.edit.accepted", { n: number(count) }));

    const refused = (refusals: Refusal[], total: number, retry: () => void) => {
      const [first] = refusals;
      if (!first) return;
      const key = `refused-${first.order.id}`;
      const then = (what: () => void) => () => {
        notification.destroy(key);
        what();
      };
      const nameOf = (order: Order) => order.name ?? t("orders.unnamed");
      const one = refusals.length === 1;
      const title = one
        ? t("orders.edit.refused", { name: nameOf(first.order) })
        : t("orders.edit.someRefused", { n: number(refusals.length), total: number(total) });
      const list = () =>
        modal.confirm({
          title,
          content: (
            <ul style={{ maxHeight: "50vh", overflow: "auto", paddingInlineStart: 18, margin: 0 }} tabIndex={-1}>
              {refusals.map(({ order, reason }) => (
                <li key={order.id}>
                  <strong>{nameOf(order)}</strong>: {reason}
                </li>
              ))}
            </ul>
          ),
          okText: t("states.retry"),
          cancelText: t("buttons.close"),
          onOk: () => retry(),
          width: 520,
        });
      notification.error({
        key,
        role: "alert",
        message: title,
        description: first.reason,
        actions: (
          <Button size="small" onClick={then(one ? retry : list)}>
            {t(one ? "states.retry" : "orders.edit.which")}
          </Button>
        ),
        duration: one ? 12 : 0,
      });
    };
    return { accepted, refused };
  }, [t, number, notification, modal, message]);
}
