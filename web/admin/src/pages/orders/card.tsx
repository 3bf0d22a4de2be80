import { useTranslate } from "@refinedev/core";
import type { Order } from "@resonance/refine";
import { Checkbox, theme } from "antd";
import { Link } from "react-router";
import { useFormat } from "../../i18n/format.ts";
import { type Origin, showPath } from "./origin.ts";
import type { Values } from "./own.ts";
import { Value } from "./values.tsx";

interface Props {
  order: Order;
  origin: Origin;
  flash: boolean;
  edit?: (values: Values) => void;
  selection?: { chosen: boolean; choose: (to: boolean) => void };
}

/** An order on a phone. */
export function OrderCard({ order, origin, flash, edit, selection }: Props) {
  const t = useTranslate();
  const { money, date } = useFormat();
  const { token } = theme.useToken();
  const name = order.name || t("orders.unnamed");
  return (
    <article
      className={flash ? "order-flash" : undefined}
      style={{
        padding: "12px 14px",
        border: `1px solid ${selection?.chosen ? token.colorPrimary : token.colorBorderSecondary}`,
        borderRadius: token.borderRadiusLG,
        background: token.colorBgContainer,
      }}
    >
      <div style={{ display: "flex", alignItems: "start", gap: 10 }}>
        {selection && (
          <Checkbox
            aria-label={name}
            checked={selection.chosen}
            onChange={({ target }) => selection.choose(target.checked)}
            style={{ padding: "2px 2px 2px 0" }}
          />
        )}
        <Link to={showPath(order.id)} state={origin} style={{ flex: 1, minWidth: 0, color: token.colorText }}>
          <span style={{ display: "flex", justifyContent: "space-between", gap: 12 }}>
            <strong style={{ fontWeight: 500, color: token.colorLink, overflowWrap: "anywhere" }}>{name}</strong>
            <span style={{ whiteSpace: "nowrap" }}>{money(order.amount)}</span>
          </span>
          <span
            style={{
              display: "flex",
              justifyContent: "space-between",
              gap: 12,
              color: token.colorTextSecondary,
              fontSize: 13,
              marginBlockStart: 2,
            }}
          >
            <span style={{ overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" }}>
              {order.customer ?? "–"}
            </span>
            <span style={{ whiteSpace: "nowrap" }}>{date(order.order_date)}</span>
          </span>
        </Link>
      </div>
      <div style={{ display: "flex", flexWrap: "wrap", gap: "6px 18px", marginBlockStart: 10 }}>
        <Value order={order} field="status" edit={edit} />
        <Value order={order} field="priority" edit={edit} />
      </div>
    </article>
  );
}
