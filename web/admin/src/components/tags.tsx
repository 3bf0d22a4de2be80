import { useTranslate } from "@refinedev/core";
import type { CSSProperties, ReactNode } from "react";
import { useDark } from "../preferences.ts";
import { type ToneName, toneOf } from "../theme.ts";

/** The statuses of an order, in the order of its life. */
export const statuses = ["Pending", "Processing", "Sent", "Delivered", "Cancelled"] as const;
/** The priorities of an order, the most urgent first. */
export const priorities = ["High", "Medium", "Low"] as const;

const statusTones: Record<string, ToneName> = {
  Pending: "amber",
  Processing: "blue",
  Sent: "violet",
  Delivered: "green",
  Cancelled: "grey",
};
const priorityTones: Record<string, ToneName> = { High: "red", Medium: "amber", Low: "grey" };

export const statusTone = (status: string | null | undefined): ToneName => statusTones[status ?? ""] ?? "grey";
export const priorityTone = (priority: string | null | undefined): ToneName => priorityTones[priority ?? ""] ?? "grey";

/** Names statuses and priorities in the present language; what is not one of ours stays as it is. */
export function useOrderTexts() {
  const t = useTranslate();
  const name = (kind: string, value: string | null | undefined) =>
    value ? t(`${kind}.${value}`, undefined, value) : t(`${kind}.none`);
  return {
    status: (value: string | null | undefined) => name("status", value),
    priority: (value: string | null | undefined) => name("priority", value),
  };
}

const priorityMarks: Record<string, string> = { High: "↑", Medium: "–", Low: "↓" };

/** A short word on a soft ground. */
export function Chip({
  tone,
  dot,
  children,
  style,
}: {
  tone: ToneName;
  dot?: boolean;
  children: ReactNode;
  style?: CSSProperties;
}) {
  const { text, soft, solid } = toneOf(tone, useDark());
  return (
    <span
      style={{
        display: "inline-flex",
        alignItems: "center",
        gap: 6,
        padding: "1px 10px",
        borderRadius: 999,
        fontSize: 12.5,
        fontWeight: 500,
        lineHeight: "22px",
        whiteSpace: "nowrap",
        color: text,
        background: soft,
        boxShadow: `inset 0 0 0 1px color-mix(in srgb, ${solid} 40%, transparent)`, // it stands out in a selected row too
        ...style,
      }}
    >
      {dot && <span style={{ width: 7, height: 7, borderRadius: 4, background: solid }} />}
      {children}
    </span>
  );
}

export function StatusTag({ value }: { value: string | null | undefined }) {
  return (
    <Chip tone={statusTone(value)} dot>
      {useOrderTexts().status(value)}
    </Chip>
  );
}

export function PriorityTag({ value }: { value: string | null | undefined }) {
  const text = useOrderTexts().priority(value);
  const dark = useDark();
  const mark = priorityMarks[value ?? ""];
  // No chip: statuses are chips, and their colours are no priorities.
  return (
    <span
      style={{ whiteSpace: "nowrap", ...(value === "High" && { color: toneOf("red", dark).text, fontWeight: 600 }) }}
    >
      {mark && (
        <span aria-hidden style={{ display: "inline-block", width: 18, fontWeight: 600 }}>
          {mark}
        </span>
      )}
      <span>{text}</span>
    </span>
  );
}
