import { SearchOutlined } from "@ant-design/icons";
import { useLogout, useTranslate } from "@refinedev/core";
import { useQueries } from "@tanstack/react-query";
import { theme as antd, Input, type InputRef, Modal, Spin } from "antd";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useMemo, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { useSettled } from "../connection.ts";
import { language } from "../i18n/index.ts";
import { theme } from "../preferences.ts";
import { resonance } from "../resonance.ts";
import { navigation } from "../resources.tsx";

interface Choice {
  key: string;
  group: string;
  text: string;
  note?: string;
  icon?: ReactNode;
  go: () => void;
}

/** Where the records of each resource are shown, and what is searched in. */
const searched = [
  { resource: "orders", group: "nav.orders", note: "customer", field: "q", operator: "eq" },
  { resource: "products", group: "nav.products", note: "default_code", field: "name", operator: "contains" },
  { resource: "customers", group: "nav.customers", note: "email", field: "name", operator: "contains" },
  { resource: "sales", group: "nav.sales", note: "client_order_ref", field: "name", operator: "contains" },
] as const;

const plain = (text: string) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Goes anywhere, finds anything, changes what can be chosen: by typing a few letters. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const t = useTranslate();
  const { token } = antd.useToken();
  const [open, setOpen] = useState(true);
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const input = useRef<InputRef>(null);
  const { found, busy } = useFound(useSettled(typed.trim(), 200));
  const commands = useCommands();

  // The dialog is not displayed at once, and what cannot be seen cannot have the focus.
  useEffect(() => {
    let frame = 0;
    const focus = () => {
      input.current?.focus();
      if (document.activeElement !== input.current?.input) frame = requestAnimationFrame(focus);
    };
    focus();
    return () => cancelAnimationFrame(frame);
  }, []);

  const choices = useMemo(() => {
    const wanted = plain(typed.trim());
    return [...commands.filter(({ text }) => plain(text).includes(wanted)), ...(wanted.length > 1 ? found : [])];
  }, [commands, found, typed]);
  const chosen = choices[Math.min(at, choices.length - 1)];

  const take = (choice: Choice | undefined) => {
    if (!choice) return;
    setOpen(false);
    choice.go();
  };
  const key = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") take(chosen);
    if (!step || choices.length === 0) return;
    event.preventDefault();
    const to = (Math.min(at, choices.length - 1) + step + choices.length) % choices.length;
    setAt(to);
    document.getElementById(`${list}${choices[to]?.key}`)?.scrollIntoView({ block: "nearest" });
  };

  return (
    <Modal
      open={open}
      onCancel={() => setOpen(false)}
      afterClose={onClose}
      footer={null}
      closable={false}
      width={600}
      style={{ top: "12vh" }}
      styles={{ content: { padding: 0, overflow: "hidden" } }}
      aria-label={t("header.search")}
    >
      <Input
        ref={input}
        size="large"
        variant="borderless"
        prefix={<SearchOutlined />}
        suffix={busy ? <Spin size="small" /> : <span />}
        placeholder={t("palette.placeholder")}
        value={typed}
        onChange={({ target }) => {
          setTyped(target.value);
          setAt(0);
        }}
        onKeyDown={key}
        role="combobox"
        aria-label={t("palette.placeholder")}
        aria-expanded
        aria-controls={list}
        aria-activedescendant={chosen && list + chosen.key}
        autoComplete="off"
        style={{ paddingBlock: 14 }}
      />
      <div
        id={list}
        role="listbox"
        aria-label={t("header.search")}
        style={{
          maxHeight: "52vh",
          overflow: "auto",
          padding: 8,
          borderBlockStart: `1px solid ${token.colorBorderSecondary}`,
        }}
      >
        {choices.map((choice, i) => (
          <div key={choice.key}>
            {choice.group !== choices[i - 1]?.group && (
              <div aria-hidden style={{ padding: "8px 12px 4px", fontSize: 12, color: token.colorTextSecondary }}>
                {choice.group}
              </div>
            )}
            {/* biome-ignore lint/a11y/useKeyWithClickEvents: the focus stays in the combobox, whose keys choose and take */}
            <div
              id={list + choice.key}
              role="option"
              tabIndex={-1}
              aria-selected={choice === chosen}
              onClick={() => take(choice)}
              onPointerMove={() => setAt(i)}
              style={{
                display: "flex",
                alignItems: "center",
                gap: 12,
                padding: "9px 12px",
                borderRadius: token.borderRadius,
                cursor: "pointer",
                background: choice === chosen ? token.colorFillTertiary : undefined,
              }}
            >
              {choice.icon}
              <span
                style={{ flex: 1, minWidth: 0, overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" }}
              >
                {choice.text}
              </span>
              <span style={{ color: token.colorTextSecondary, fontSize: 13, whiteSpace: "nowrap" }}>{choice.note}</span>
            </div>
          </div>
        ))}
      </div>
      {choices.length === 0 && (
        <div role="status" style={{ padding: "8px 20px 24px", color: token.colorTextSecondary }}>
          {t(busy ? "states.loading" : "palette.nothing")}
        </div>
      )}
    </Modal>
  );
}

function useCommands(): Choice[] {
  const t = useTranslate();
  const navigate = useNavigate();
  const { mutate: logout } = useLogout();
  const pages = navigation.flatMap(({ pages }) => pages);
  const command = (key: string, text: string, go: () => void): Choice => ({
    key,
    group: t("palette.commands"),
    text,
    go,
  });
  return [
    ...pages.map(({ path, text, icon }) => ({
      key: path,
      group: t("palette.pages"),
      text: t(text),
      icon,
      go: () => void navigate(path),
    })),
    ...(["light", "dark", "system"] as const).map((to) =>
      command(to, `${t("header.theme")}: ${t(`header.${to}`).toLowerCase()}`, () => theme.set(to)),
    ),
    command("es", `${t("header.language")}: español`, () => language.set("es")),
    command("en", `${t("header.language")}: English`, () => language.set("en")),
    command("logout", t("header.logout"), () => logout()),
  ];
}

/** What there is by that name, of every kind. What cannot be searched now is left out. */
function useFound(text: string): { found: Choice[]; busy: boolean } {
  const t = useTranslate();
  const navigate = useNavigate();
  const enabled = text.length > 1;
  const answers = useQueries({
    queries: searched.map(({ resource, field, operator }) => ({
      queryKey: ["palette", resource, text],
      queryFn: () =>
        resonance.dataProvider.getList({
          resource,
          filters: [{ field, operator, value: text }],
          pagination: { currentPage: 1, pageSize: 5 },
        }),
      enabled,
      retry: false,
    })),
  });
  if (!enabled) return { found: [], busy: false };
  const found = answers.flatMap(({ data }, i) => {
    const { resource, group, note } = searched[i] as (typeof searched)[number];
    return (data?.data ?? []).map((record) => ({
      key: `${resource}-${record.id}`,
      group: t(group),
      text: String(record.name ?? "–"),
      note: typeof record[note] === "string" ? record[note] : undefined,
      go: () => void navigate(`/${resource}/show/${record.id}`),
    }));
  });
  return { found, busy: answers.some(({ isFetching }) => isFetching) };
}
