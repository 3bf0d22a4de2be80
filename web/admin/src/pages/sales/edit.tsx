import { SaleForm } from "./form.tsx";

export default function SaleEdit() {
  return <SaleForm />;
}
