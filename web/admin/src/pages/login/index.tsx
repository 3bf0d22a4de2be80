import { LockOutlined, UserOutlined } from "@ant-design/icons";
import { type HttpError, useLogin, useTranslate } from "@refinedev/core";
import { Alert, Button, Card, Form, Input, Typography } from "antd";
import { useState } from "react";
import { useLocation } from "react-router";
import { LanguageChoice, ThemeChoice } from "../../layout/choices.tsx";
import logo from "../../logo.svg";

interface Credentials {
  username: string;
  password: string;
}

export default function Login() {
  const t = useTranslate();
  const { mutateAsync: login, isPending } = useLogin<Credentials>();
  const [error, setError] = useState<HttpError | Error>();
  const { ended } = (useLocation().state ?? {}) as { ended?: boolean };

  const submit = async (values: Credentials) => {
    setError(undefined);
    const { success, error } = await login(values);
    if (!success && error) setError(error);
  };

  return (
    <main style={{ minHeight: "100dvh", display: "grid", gridTemplateRows: "auto 2fr auto 3fr", padding: 16 }}>
      <title>{`${t("login.title")} · Resonance`}</title>
      <div style={{ display: "flex", justifyContent: "end", gap: 4 }}>
        <LanguageChoice />
        <ThemeChoice />
      </div>
      <Card style={{ gridRow: 3, width: "100%", maxWidth: 400, justifySelf: "center" }}>
        <div style={{ display: "flex", alignItems: "center", gap: 12, marginBlockEnd: 4 }}>
          <img src={logo} alt="" width={36} height={36} />
          <Typography.Title level={1} style={{ fontSize: 22, margin: 0 }}>
            Resonance
          </Typography.Title>
        </div>
        <Typography.Paragraph type="secondary">{t("login.intro")}</Typography.Paragraph>
        {ended && !error && (
          <Alert type="info" showIcon role="status" message={t("login.ended")} style={{ marginBlockEnd: 16 }} />
        )}
        {error && <Alert type="error" showIcon role="alert" message={error.message} style={{ marginBlockEnd: 16 }} />}
        <Form<Credentials> layout="vertical" requiredMark={false} onFinish={submit}>
          <Form.Item
            name="username"
            label={t("login.username")}
            rules={[{ required: true, message: t("login.usernameMissing") }]}
          >
            <Input
              size="large"
              prefix={<UserOutlined />}
              autoComplete="username"
              autoCapitalize="none"
              spellCheck={false}
              autoFocus
            />
          </Form.Item>
          <Form.Item
            name="password"
            label={t("login.password")}
            rules={[{ required: true, message: t("login.passwordMissing") }]}
          >
            <Input.Password size="large" prefix={<LockOutlined />} autoComplete="current-password" />
          </Form.Item>
          <Button type="primary" htmlType="submit" size="large" block loading={isPending}>
            {t("login.submit")}
          </Button>
        </Form>
      </Card>
    </main>
  );
}
