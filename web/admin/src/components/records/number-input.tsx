import { InputNumber, type InputNumberProps } from "antd";
import { language } from "../../i18n/index.ts";
import { usePreference } from "../../preferences.ts";

/** A number as the language writes it; not below 0. */
export function NumberInput(props: InputNumberProps<number>) {
  const decimal = usePreference(language) === "es" ? "," : ".";
  return (
    <InputNumber<number>
      min={0}
      decimalSeparator={decimal}
      controls={false}
      {...props}
      style={{ width: "100%", ...props.style }}
    />
  );
}
