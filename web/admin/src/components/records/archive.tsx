import { InboxOutlined, MoreOutlined, RollbackOutlined } from "@ant-design/icons";
import { useCan, useTranslate, useUpdate } from "@refinedev/core";
import { Button, Dropdown, type MenuProps } from "antd";
import { Chip } from "../tags.tsx";
import "./texts.ts";

interface Archivable {
  id: number;
  name: string | null;
  active: boolean;
}

/** Whether the user may change records of a resource. */
export function useMay(resource: string, action = "edit"): boolean {
  return useCan({ resource, action }).data?.can ?? false;
}

/** Archives a record, or brings it back: a few seconds later, so that it can be undone. */
export function useArchive(resource: string) {
  const t = useTranslate();
  const { mutate } = useUpdate();
  return ({ id, name, active }: Archivable) =>
    mutate({
      resource,
      id,
      values: { active: !active },
      mutationMode: "undoable",
      successNotification: {
        type: "success",
        message: t(active ? "records.didArchive" : "records.didRestore", { name: name ?? "" }),
      },
      errorNotification: (error) => ({ type: "error", message: error?.message ?? t("states.error") }),
    });
}

export function ArchiveButton({ resource, record }: { resource: string; record: Archivable }) {
  const t = useTranslate();
  const archive = useArchive(resource);
  return (
    <Button icon={record.active ? <InboxOutlined /> : <RollbackOutlined />} onClick={() => archive(record)}>
      {t(record.active ? "records.archive" : "records.restore")}
    </Button>
  );
}

/** What can be done with a row, behind a button. */
export function RowMenu({ name, items }: { name: string; items: MenuProps["items"] }) {
  const t = useTranslate();
  return (
    <Dropdown trigger={["click"]} placement="bottomRight" menu={{ items }}>
      <Button type="text" icon={<MoreOutlined />} aria-label={t("records.more", { name })} />
    </Dropdown>
  );
}

export function ArchivedTag({ record }: { record: Archivable }) {
  const t = useTranslate();
  return record.active ? null : <Chip tone="grey">{t("records.archived")}</Chip>;
}
