import { ProductForm } from "./form.tsx";

export default function ProductEdit() {
  return <ProductForm />;
}
