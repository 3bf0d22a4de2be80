import { useTranslate } from "@refinedev/core";
import { Page } from "../../components/page.tsx";
import { Empty } from "../../components/states.tsx";

export default function SaleCreate() {
  const t = useTranslate();
  return (
    <Page title={t("nav.sales")}>
      <Empty />
    </Page>
  );
}
