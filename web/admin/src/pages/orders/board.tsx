import { useTranslate } from "@refinedev/core";
import { Page } from "../../components/page.tsx";
import { Empty } from "../../components/states.tsx";

export default function OrderBoard() {
  const t = useTranslate();
  return (
    <Page title={t("nav.orders")}>
      <Empty />
    </Page>
  );
}
