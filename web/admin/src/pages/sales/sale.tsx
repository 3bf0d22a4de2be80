import { LockOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import type { Sale } from "@resonance/refine";
import { Chip } from "../../components/tags.tsx";
import type { ToneName } from "../../theme.ts";

export type State = Sale["state"];

/** The states of a sale, in the order of its life. */
export const states: readonly State[] = ["draft", "sent", "sale", "cancel"];

export const stateTones: Record<State, ToneName> = { draft: "amber", sent: "blue", sale: "green", cancel: "grey" };

/** What can be done with a sale, as Odoo allows it. */
export function allowed({ state, locked }: Pick<Sale, "state" | "locked">): {
  edit: boolean;
  confirm: boolean;
  cancel: boolean;
} {
  const quotation = state === "draft" || state === "sent";
  return { edit: quotation && !locked, confirm: quotation && !locked, cancel: state !== "cancel" && !locked };
}

export function SaleTag({ state, locked }: { state: State; locked?: boolean | null }) {
  const t = useTranslate();
  return (
    <Chip tone={stateTones[state] ?? "grey"} dot>
      {t(`sales.states.${state}`, undefined, state)}
      {locked && <LockOutlined aria-label={t("sales.locked")} title={t("sales.locked")} />}
    </Chip>
  );
}
