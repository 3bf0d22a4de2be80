import type { Order } from "@resonance/refine";

/** What of an order can be changed here; the rest is Airtable's. */
export type Field = "status" | "priority";
export type Values = Partial<Record<Field, string>>;

/** An order with what is wanted of it and not yet in what the server gives. */
export interface Wanted {
  order: Order;
  values: Values;
}

/** Orders that are to have values. */
export interface Batch {
  readonly orders: Order[];
  readonly values: Values;
  /** Sends it now, if it still waits for whether it is undone. */
  hurry?: () => void;
}

/** Whether an order has the values already. */
export const has = (order: Order, values: Values): boolean =>
  Object.entries(values).every(([field, value]) => order[field as Field] === value);

/**
 * Edits between the click and the first reading that has them. They lie over what is read, so that a reading
 * which began before does not take them back. One is sent after the other: of two edits of an order the later one counts.
 */
export class OwnEdits {
  readonly #listeners = new Set<() => void>();
  readonly #batches = new Set<Batch>();
  #wanted: ReadonlyMap<string, Wanted> = new Map();
  #last: Promise<void> = Promise.resolve();

  get = (): ReadonlyMap<string, Wanted> => this.#wanted;

  listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  begin(orders: Order[], values: Values): Batch {
    const ids = new Set(orders.map(({ id }) => id));
    for (const before of this.#batches) if (before.orders.some(({ id }) => ids.has(id))) before.hurry?.();
    const batch: Batch = { orders, values };
    this.#batches.add(batch);
    this.#tell();
    return batch;
  }

  end(batch: Batch): void {
    this.#batches.delete(batch);
    this.#tell();
  }

  /** Runs `send` when what was to be sent before has been. */
  turn(send: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(send);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Sends everything that waits. Reports whether there is anything on its way. */
  flush(): boolean {
    for (const batch of this.#batches) batch.hurry?.();
    return this.#batches.size > 0;
  }

  #tell(): void {
    const wanted = new Map<string, Wanted>();
    for (const { orders, values } of this.#batches) {
      for (const order of orders)
        wanted.set(order.id, { order, values: { ...wanted.get(order.id)?.values, ...values } });
    }
    this.#wanted = wanted;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** The id of an edit that the server has not acknowledged. */
export const unsent = "";

/** An order as it is shown: with what is wanted of it, as pending. */
export function shown(order: Order, wanted: ReadonlyMap<string, Wanted>): Order {
  const values = wanted.get(order.id)?.values;
  if (!values) return order;
  const edit = { id: unsent, actor: { id: "" }, at: "", state: "pending" as const, values };
  return { ...order, ...values, edit };
}
