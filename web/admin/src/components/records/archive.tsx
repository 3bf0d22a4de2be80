import { InboxOutlined, MoreOutlined, RollbackOutlined } from "@ant-design/icons";
import { useCan, useInvalidate, useNotification, useTranslate } from "@refinedev/core";
import { Button, Dropdown, type MenuProps } from "antd";
import { resonance } from "../../resonance.ts";
import { useUndoable } from "../../undo.ts";
import { Chip } from "../tags.tsx";
import { intended } from "./intended.ts";

interface Archivable {
  id: number;
  name: string | null;
  active: boolean;
}

/** Whether the user may change records of a resource. */
export function useMay(resource: string, action = "edit"): boolean {
  return useCan({ resource, action }).data?.can ?? false;
}

/** Archives a record, or brings it back, unless that is undone within some seconds. It shows at once. */
export function useArchive(resource: string) {
  const t = useTranslate();
  const undoable = useUndoable();
  const invalidate = useInvalidate();
  const { open } = useNotification();
  return async (record: Archivable) => {
    const { id, active } = record;
    const name = record.name ?? "";
    const place = `${resource}/${id}`;
    if (intended.has(place)) return;
    const { decided } = undoable(t(active ? "records.archiving" : "records.restoring", { name }));
    intended.set(place, !active);
    try {
      if (!(await decided)) return;
      await resonance.dataProvider.update({ resource, id, variables: { active: !active } });
      open?.({ type: "success", message: t(active ? "records.didArchive" : "records.didRestore", { name }) });
      await invalidate({ resource, invalidates: ["resourceAll"] });
    } catch (error) {
      open?.({ type: "error", message: (error as Error).message });
    } finally {
      intended.delete(place);
    }
  };
}

export function ArchiveButton({ resource, record }: { resource: string; record: Archivable }) {
  const t = useTranslate();
  const archive = useArchive(resource);
  return (
    <Button icon={record.active ? <InboxOutlined /> : <RollbackOutlined />} onClick={() => void archive(record)}>
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
