import { InputNumber, type InputNumberProps } from "antd";
import { language } from "../../i18n/index.ts";
import { usePreference } from "../../preferences.ts";

/** A number as the language writes it, with at least so many decimals once it is typed; not below 0. */
export function NumberInput({ decimals = 0, ...props }: InputNumberProps<number> & { decimals?: number }) {
  const separator = usePreference(language) === "es" ? "," : ".";
  return (
    <InputNumber<number>
      min={0}
      decimalSeparator={separator}
      controls={false}
      formatter={(value, { userTyping, input }) =>
        userTyping ? input : decimal(String(value ?? ""), decimals, separator)
      }
      parser={(text) => (text ?? "").replace(separator, ".") as never} // it may be half a number yet
      {...props}
      style={{ width: "100%", ...props.style }}
    />
  );
}

/** `1.5` with at least so many decimals, after the separator of a language. */
export function decimal(value: string, decimals: number, separator: string): string {
  if (value === "") return "";
  const [whole = "", part = ""] = value.split(".");
  const padded = part.padEnd(decimals, "0");
  return padded === "" ? whole : whole + separator + padded;
}
