import { PartnerForm } from "./form.tsx";

export default function PartnerCreate() {
  return <PartnerForm />;
}
