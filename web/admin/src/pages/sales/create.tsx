import { SaleForm } from "./form.tsx";

export default function SaleCreate() {
  return <SaleForm />;
}
