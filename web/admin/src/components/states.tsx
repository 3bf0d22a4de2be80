import { DisconnectOutlined, InboxOutlined, LockOutlined, ReloadOutlined, WarningOutlined } from "@ant-design/icons";
import { type HttpError, useTranslate } from "@refinedev/core";
import { Button, Card, Skeleton, Typography } from "antd";
import type { ReactNode } from "react";
import { Link } from "react-router";

interface StateProps {
  icon: ReactNode;
  title: string;
  text?: ReactNode;
  action?: ReactNode;
  role?: "alert" | "status";
  /** It is all there is on the page, so its title is the page's. */
  whole?: boolean;
}

/** What stands where there is nothing else to show. */
function State({ icon, title, text, action, role, whole }: StateProps) {
  return (
    <div
      role={role}
      style={{ display: "grid", justifyItems: "center", gap: 4, padding: "40px 16px", textAlign: "center" }}
    >
      <Typography.Text type="secondary" aria-hidden style={{ fontSize: 30, lineHeight: 1, marginBlockEnd: 8 }}>
        {icon}
      </Typography.Text>
      {whole ? (
        <Typography.Title level={1} style={{ fontSize: 20, margin: 0 }}>
          {title}
        </Typography.Title>
      ) : (
        <Typography.Text strong style={{ fontSize: 15 }}>
          {title}
        </Typography.Text>
      )}
      {text && (
        <Typography.Text type="secondary" style={{ maxWidth: 440 }}>
          {text}
        </Typography.Text>
      )}
      {action && <div style={{ marginBlockStart: 12 }}>{action}</div>}
    </div>
  );
}

/** Nothing is there, or nothing that fits the filters. */
export function Empty(props: { title?: string; text?: ReactNode; action?: ReactNode; icon?: ReactNode }) {
  const t = useTranslate();
  return <State icon={<InboxOutlined />} {...props} title={props.title ?? t("states.empty")} />;
}

/** It could not be read. Says why, and takes another try. */
export function ErrorState({ error, onRetry }: { error?: HttpError | Error | null; onRetry?: () => void }) {
  const t = useTranslate();
  const status = (error as HttpError | undefined)?.statusCode;
  if (status === 403) return <Forbidden />;
  return (
    <State
      role="alert"
      icon={status === 0 ? <DisconnectOutlined /> : <WarningOutlined />}
      title={t(status === 0 ? "states.offline" : status === 404 ? "states.gone" : "states.error")}
      text={error?.message}
      action={
        onRetry && (
          <Button icon={<ReloadOutlined />} onClick={onRetry}>
            {t("states.retry")}
          </Button>
        )
      }
    />
  );
}

export function Forbidden() {
  const t = useTranslate();
  return (
    <>
      <title>{`${t("states.forbidden")} · Resonance`}</title>
      <State
        whole
        icon={<LockOutlined />}
        title={t("states.forbidden")}
        text={t("states.forbiddenText")}
        action={<Home />}
      />
    </>
  );
}

export function NotFound() {
  const t = useTranslate();
  return (
    <>
      <title>{`${t("states.notFound")} · Resonance`}</title>
      <State whole icon="404" title={t("states.notFound")} text={t("states.notFoundText")} action={<Home />} />
    </>
  );
}

function Home() {
  const t = useTranslate();
  return (
    <Link to="/">
      <Button type="primary">{t("states.home")}</Button>
    </Link>
  );
}

/** While a page is on its way. */
export function PageLoading() {
  const t = useTranslate();
  return (
    <div role="status" aria-label={t("states.loading")}>
      <Skeleton active title={{ width: 220 }} paragraph={false} style={{ marginBlockEnd: 24 }} />
      <Card>
        <Skeleton active title={false} paragraph={{ rows: 8, width: "100%" }} />
      </Card>
    </div>
  );
}
