import { BulbOutlined, DesktopOutlined, GlobalOutlined, MoonOutlined, SunOutlined } from "@ant-design/icons";
import { useSetLocale, useTranslate } from "@refinedev/core";
import { Button, Dropdown } from "antd";
import { languages, useLanguage } from "../i18n/index.ts";
import { type Theme, theme, usePreference } from "../preferences.ts";

const themeIcons = { system: <DesktopOutlined />, light: <SunOutlined />, dark: <MoonOutlined /> };

export function ThemeChoice() {
  const t = useTranslate();
  const chosen = usePreference(theme);
  return (
    <Dropdown
      trigger={["click"]}
      placement="bottomRight"
      menu={{
        selectable: true,
        selectedKeys: [chosen],
        onClick: ({ key }) => theme.set(key as Theme),
        items: (["system", "light", "dark"] as const).map((key) => ({
          key,
          icon: themeIcons[key],
          label: t(`header.${key}`),
        })),
      }}
    >
      <Button type="text" icon={<BulbOutlined />} aria-label={t("header.theme")} title={t("header.theme")} />
    </Dropdown>
  );
}

export function LanguageChoice() {
  const t = useTranslate();
  const chosen = useLanguage();
  const choose = useSetLocale();
  return (
    <Dropdown
      trigger={["click"]}
      placement="bottomRight"
      menu={{
        selectable: true,
        selectedKeys: [chosen],
        onClick: ({ key }) => choose(key),
        items: languages.map(({ code, name }) => ({ key: code, label: <span lang={code}>{name}</span> })),
      }}
    >
      <Button type="text" icon={<GlobalOutlined />} title={t("header.language")}>
        <span className="only-read">{t("header.language")}: </span>
        {chosen.toUpperCase()}
      </Button>
    </Dropdown>
  );
}
