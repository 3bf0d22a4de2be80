import { SwapOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import { DatePicker, Grid } from "antd";
import dayjs from "dayjs";
import { useState } from "react";
import type { Period } from "./period.ts";

interface Props {
  period: Period;
  choose: (period: Period) => void;
  /** It was closed, with or without a choice. */
  onClose: () => void;
}

/** A calendar for any period. It comes open, and when it is asked for: it weighs as much as the page. */
export default function RangePicker({ period, choose, onClose }: Props) {
  const t = useTranslate();
  const { sm } = Grid.useBreakpoint();
  const [open, setOpen] = useState(true);
  return (
    <DatePicker.RangePicker
      aria-label={t("dashboard.range.label")}
      value={[period.from, period.to]}
      open={open}
      autoFocus
      allowClear={false}
      disabledDate={(day) => day.isAfter(dayjs(), "day")}
      format={sm ? "D MMM YYYY" : "D MMM YY"}
      onOpenChange={(to) => {
        setOpen(to);
        if (!to) onClose();
      }}
      onChange={(range) => {
        if (range?.[0] && range[1]) choose({ from: range[0].startOf("day"), to: range[1].startOf("day") });
      }}
      placeholder={[t("dashboard.range.from"), t("dashboard.range.to")]}
      separator={<SwapOutlined aria-hidden style={{ opacity: 0.45 }} />}
      inputReadOnly={!sm}
      style={{ width: sm ? 270 : 232 }}
    />
  );
}
