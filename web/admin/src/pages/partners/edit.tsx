import { PartnerForm } from "./form.tsx";

export default function PartnerEdit() {
  return <PartnerForm />;
}
