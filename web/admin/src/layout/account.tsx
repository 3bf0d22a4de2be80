import { ApiOutlined, LogoutOutlined, UserOutlined } from "@ant-design/icons";
import { useGetIdentity, useLogout, useTranslate } from "@refinedev/core";
import type { Identity } from "@resonance/refine";
import { Button, Dropdown, Typography } from "antd";

/** Who is logged in, and the way out. */
export function Account({ short }: { short: boolean }) {
  const t = useTranslate();
  const { data: who } = useGetIdentity<Identity>();
  const { mutate: logout } = useLogout();
  return (
    <Dropdown
      trigger={["click"]}
      placement="bottomRight"
      menu={{
        items: [
          {
            key: "who",
            type: "group",
            label: (
              <>
                <Typography.Text strong>{who?.name}</Typography.Text>
                <br />
                <Typography.Text type="secondary">{who && t(`header.role.${who.role}`)}</Typography.Text>
              </>
            ),
          },
          { type: "divider" },
          {
            key: "docs",
            icon: <ApiOutlined />,
            label: (
              <a href="/docs" target="_blank" rel="noreferrer">
                {t("header.docs")}
              </a>
            ),
          },
          { key: "logout", icon: <LogoutOutlined />, label: t("header.logout"), onClick: () => logout() },
        ],
      }}
    >
      <Button type="text" icon={<UserOutlined />} title={t("header.account")}>
        <span className={short ? "only-read" : undefined}>{who?.name ?? t("header.account")}</span>
      </Button>
    </Dropdown>
  );
}
