// Generated from pkg/event/schema/columns.go by `make generate`; do not edit.

/** The columns that orders of every table have, in the order in which people are shown them. */
export const orderColumns = [
  {
    name: "record_id",
    title: { es: "Id. de registro", en: "Record id" },
    kind: "text",
    values: [],
    editable: false,
  },
  {
    name: "name",
    title: { es: "Pedido", en: "Order" },
    kind: "text",
    values: [],
    editable: false,
  },
  {
    name: "customer",
    title: { es: "Cliente", en: "Customer" },
    kind: "text",
    values: [],
    editable: false,
  },
  {
    name: "status",
    title: { es: "Estado", en: "Status" },
    kind: "choice",
    values: ["Pending", "Processing", "Sent", "Delivered", "Cancelled"],
    editable: true,
  },
  {
    name: "priority",
    title: { es: "Prioridad", en: "Priority" },
    kind: "choice",
    values: ["Low", "Medium", "High"],
    editable: true,
  },
  {
    name: "amount",
    title: { es: "Importe", en: "Amount" },
    kind: "number",
    values: [],
    editable: false,
  },
  {
    name: "order_date",
    title: { es: "Fecha", en: "Date" },
    kind: "date",
    values: [],
    editable: false,
  },
  {
    name: "created_at",
    title: { es: "Creado", en: "Created" },
    kind: "time",
    values: [],
    editable: false,
  },
  {
    name: "updated_at",
    title: { es: "Modificado", en: "Modified" },
    kind: "time",
    values: [],
    editable: false,
  },
] as const;

/** The name of one of them. */
export type OrderColumnName = (typeof orderColumns)[number]["name"];
