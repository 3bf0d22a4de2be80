import { ClockCircleOutlined, DownOutlined, ExclamationCircleFilled } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import type { Order } from "@resonance/refine";
import { Button, Dropdown, Space, Tooltip } from "antd";
import { type ReactNode, useRef, useState } from "react";
import { PriorityTag, StatusTag, useOrderTexts } from "../../components/tags.tsx";
import { Ago } from "../../components/time.tsx";
import { useChoices } from "./choices.ts";
import { dismiss, useDismissed } from "./dismissed.ts";
import { type Field, unsent, type Values } from "./own.ts";
import { Pop } from "./pop.tsx";
import "./orders.css";

const tags = { status: StatusTag, priority: PriorityTag };

interface Props {
  order: Order;
  field: Field;
  /** Not given to those who may only read. */
  edit?: (values: Values) => void;
}

/** A status or a priority, to be chosen by those who may, and how far an edit of it has come. */
export function Value({ order, field, edit }: Props) {
  const t = useTranslate();
  const name = useOrderTexts()[field];
  const button = useRef<HTMLButtonElement>(null);
  const Tag = tags[field];
  const value = order[field];
  const [menu, setMenu] = useState<boolean>(); // there is none until it is asked for: a table has many of these
  const choice = (onClick?: () => void) => (
    <button
      ref={button}
      type="button"
      className="order-choice"
      aria-haspopup="menu"
      aria-label={t("orders.edit.change", { field: t(`orders.fields.${field}`), value: name(value) })}
      onClick={onClick}
    >
      <Tag value={value} />
      <DownOutlined aria-hidden />
    </button>
  );
  return (
    <span className="order-value">
      {edit ? (
        menu === undefined ? (
          choice(() => setMenu(true))
        ) : (
          <Choices
            field={field}
            value={value}
            open={menu}
            onOpen={setMenu}
            choose={(chosen) => {
              if (chosen !== value) edit({ [field]: chosen });
              button.current?.focus();
            }}
          >
            {choice()}
          </Choices>
        )
      ) : (
        <Tag value={value} />
      )}
      <EditMark order={order} field={field} edit={edit} />
    </span>
  );
}

/** The menu of what a column offers in this base. */
function Choices({
  field,
  value,
  open,
  onOpen,
  choose,
  children,
}: {
  field: Field;
  value: string | null;
  open: boolean;
  onOpen: (open: boolean) => void;
  choose: (value: string) => void;
  children: ReactNode;
}) {
  const Tag = tags[field];
  const choices = useChoices(field);
  return (
    <Dropdown
      trigger={["click"]}
      autoFocus
      open={open}
      onOpenChange={onOpen}
      menu={{
        selectable: true,
        selectedKeys: value ? [value] : [],
        items: choices.map((choice) => ({ key: choice, label: <Tag value={choice} /> })),
        onClick: ({ key, domEvent }) => {
          domEvent.stopPropagation();
          choose(key);
        },
      }}
    >
      {children}
    </Dropdown>
  );
}

/** A quiet mark while Airtable has not taken an edit, and a louder one when it refused. */
export function EditMark({ order: { edit: newest, ...order }, field, edit }: Props) {
  const t = useTranslate();
  const name = useOrderTexts()[field];
  const dismissed = useDismissed();
  const [open, setOpen] = useState(false);
  const wanted = newest?.values[field];
  if (!newest || wanted === undefined) return null;
  if (newest.state === "pending") {
    const text = t(newest.id === unsent ? "orders.edit.saving" : "orders.edit.pending");
    return (
      <Tooltip title={text}>
        <span className="order-pending" role="status">
          <ClockCircleOutlined aria-hidden />
          <span className="only-read">{text}</span>
        </span>
      </Tooltip>
    );
  }
  if (newest.state !== "rejected" || dismissed.includes(newest.id)) return null;
  const label = t("orders.edit.rejected", { field: t(`orders.fields.${field}`), value: name(wanted) });
  return (
    <Pop
      label={label}
      open={open}
      onOpen={setOpen}
      title={label}
      content={
        <div style={{ maxWidth: 280, display: "grid", gap: 10 }}>
          <span>{newest.reason}</span>
          <small style={{ color: "var(--ant-color-text-secondary)" }}>
            {newest.actor.name ?? newest.actor.email ?? newest.actor.id} ·{" "}
            <Ago value={newest.settled_at ?? newest.at} />
          </small>
          <Space>
            {edit && (
              <Button
                size="small"
                type="primary"
                onClick={() => {
                  setOpen(false);
                  edit({ [field]: wanted });
                }}
              >
                {t("states.retry")}
              </Button>
            )}
            <Button
              size="small"
              onClick={() => {
                setOpen(false);
                dismiss(newest.id);
              }}
            >
              {t("orders.edit.dismiss")}
            </Button>
          </Space>
        </div>
      }
    >
      <button
        type="button"
        className="order-rejected"
        aria-haspopup="dialog"
        aria-expanded={open}
        aria-label={`${label}. ${order.name ?? ""}`}
      >
        <ExclamationCircleFilled aria-hidden />
      </button>
    </Pop>
  );
}
