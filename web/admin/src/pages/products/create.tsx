import { ProductForm } from "./form.tsx";

export default function ProductCreate() {
  return <ProductForm />;
}
