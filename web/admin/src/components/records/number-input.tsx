import { useTranslate } from "@refinedev/core";
import { Input, type InputProps } from "antd";
import type { Rule } from "antd/es/form";
import { useState } from "react";
import { fileOf, useLanguage } from "../../i18n/index.ts";
import { decimal, parseNumber, type Typed } from "./numbers.ts";

interface Props extends Omit<InputProps, "value" | "onChange"> {
  value?: Typed | undefined;
  onChange?: (value: Typed) => void;
  /** How many decimals are shown at least while it is not being typed. */
  decimals?: number;
}

/** A number as the language writes it. What is typed stays as it is: `numberRules` say what is wrong with it. */
export function NumberInput({ decimals = 0, value = null, onChange, ...props }: Props) {
  const separator = separatorOf(fileOf(useLanguage()).locale);
  const [typing, setTyping] = useState<string>();
  const shown = typeof value === "number" ? decimal(String(value), decimals, separator) : (value ?? "");
  return (
    <Input
      inputMode="decimal"
      autoComplete="off"
      {...props}
      value={typing ?? shown}
      onChange={({ target }) => {
        setTyping(target.value);
        onChange?.(parseNumber(target.value, separator));
      }}
      onBlur={(event) => {
        setTyping(undefined);
        props.onBlur?.(event);
      }}
    />
  );
}

/** What separates the decimals in a locale. */
const separatorOf = (locale: string): string =>
  new Intl.NumberFormat(locale).formatToParts(1.5).find(({ type }) => type === "decimal")?.value ?? ".";

/** Refuses what is no number, or is out of bounds. */
export function useNumberRules(): (bounds?: { min?: number; max?: number }) => Rule[] {
  const t = useTranslate();
  return ({ min = 0, max } = {}) => [
    {
      validator: async (_, value: Typed | undefined) => {
        if (value === null || value === undefined || value === "") return;
        if (typeof value !== "number") throw new Error(t("records.notNumber"));
        if (value < min) throw new Error(t("records.least", { min }));
        if (max !== undefined && value > max) throw new Error(t("records.most", { max }));
      },
    },
  ];
}
