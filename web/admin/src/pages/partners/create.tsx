import { useTranslate } from "@refinedev/core";
import { Page } from "../../components/page.tsx";
import { Empty } from "../../components/states.tsx";

export default function PartnerCreate() {
  const t = useTranslate();
  return (
    <Page title={t("nav.customers")}>
      <Empty />
    </Page>
  );
}
