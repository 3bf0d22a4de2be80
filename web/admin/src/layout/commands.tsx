import { useCustomMutation, useLogout, useTranslate } from "@refinedev/core";
import i18next from "i18next";
import { type ReactNode, useEffect, useState } from "react";
import { useNavigate } from "react-router";
import { useMay } from "../components/records/archive.tsx";
import { language, languages, loadAll } from "../i18n/index.ts";
import { type Theme, theme, themes } from "../preferences.ts";
import { navigation } from "../resources.tsx";

/** What the palette offers. */
export interface Choice {
  key: string;
  group: string;
  text: string;
  note?: string | undefined;
  icon?: ReactNode;
  /** It leads to further results. */
  more?: boolean;
  run: () => void;
}

/** A choice that is always there, found by its name in any language. */
export interface Command extends Choice {
  names: string[];
}

/** Text as it is compared: without accents, in lower case. */
export const plain = (text: string) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Whether every word that is typed begins a word of one of the names. */
export function matches({ names }: Pick<Command, "names">, typed: string): boolean {
  const wanted = plain(typed).split(/\s+/).filter(Boolean);
  return names.some((name) => {
    const words = plain(name).split(/[\s:]+/);
    return wanted.every((start) => words.some((word) => word.startsWith(start)));
  });
}

/** A text in every language. */
const inAll = (...keys: string[]): string[] =>
  languages.map(({ code }) => keys.map((key) => i18next.t(key, { lng: code, defaultValue: "" })).join(" "));

/** Renders again when the texts of all languages are here. */
function useAllLanguages(): void {
  const [, setLoaded] = useState(false);
  useEffect(() => {
    void loadAll().then(() => setLoaded(true));
  }, []);
}

const created = ["sales", "products", "customers", "suppliers"] as const;

/** The pages, and what can be done from anywhere. */
export function useCommands(): Command[] {
  const t = useTranslate();
  const navigate = useNavigate();
  const { mutate: logout } = useLogout();
  const { mutate: post } = useCustomMutation();
  const mayCreate = useMay("products", "create");
  const maySync = useMay("sync", "run");
  useAllLanguages();
  const action = (key: string, text: string, names: string[], run: () => void): Command => ({
    key,
    group: t("palette.commands"),
    text,
    names,
    run,
  });
  const sync = () => {
    post({
      url: "/api/orders/sync",
      method: "post",
      values: { mode: "auto" },
      config: { headers: { Prefer: "respond-async" } },
      successNotification: false,
      errorNotification: (error) => ({ type: "error", message: error?.message ?? t("states.error") }),
    });
    void navigate("/sync");
  };
  return [
    ...navigation.flatMap(({ pages }) =>
      pages.map(({ path, text, icon }) => ({
        key: path,
        group: t("palette.pages"),
        text: t(text),
        names: inAll(text),
        icon,
        run: () => void navigate(path),
      })),
    ),
    ...(mayCreate
      ? created.map((name) =>
          action(
            `new-${name}`,
            t(`palette.new.${name}`),
            inAll(`palette.new.${name}`),
            () => void navigate(`/${name}/create`),
          ),
        )
      : []),
    ...(maySync ? [action("sync", t("palette.sync"), inAll("palette.sync"), sync)] : []),
    ...themes.map((to: Theme) =>
      action(to, `${t("header.theme")}: ${t(`header.${to}`)}`, inAll("header.theme", `header.${to}`), () =>
        theme.set(to),
      ),
    ),
    ...languages.map(({ code, name }) =>
      action(
        code,
        `${t("header.language")}: ${name}`,
        [...inAll("header.language"), name].map((n) => `${n} ${name}`),
        () => language.set(code),
      ),
    ),
    action("logout", t("header.logout"), inAll("header.logout"), () => logout()),
  ];
}
