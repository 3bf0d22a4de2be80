import { CloudOutlined, HistoryOutlined, ReloadOutlined } from "@ant-design/icons";
import { type HttpError, useTranslate } from "@refinedev/core";
import { Button, theme } from "antd";
import { useState } from "react";
import { useFormat } from "../../i18n/format.ts";
import { Empty, ErrorState } from "../states.tsx";
import { useNow } from "../time.tsx";
import type { Freshness } from "./use-rows.ts";

interface Query {
  data?: unknown;
  isError: boolean;
  dataUpdatedAt: number;
  refetch: () => unknown;
}

/**
 * Why there is nothing to show; null once there is. React Query forgets it while it tries again, and what it says
 * would come and go.
 */
export function useFailure(query: {
  data?: unknown;
  error: HttpError | Error | null;
  failureReason: HttpError | Error | null;
}): HttpError | Error | null {
  const [last, setLast] = useState<HttpError | Error | null>(null);
  const now = query.data === undefined ? (query.error ?? query.failureReason ?? last) : null;
  if (now !== last) setLast(now);
  return now;
}

/** A quiet line while what is shown may be out of date: Odoo is away, or reading it again failed. */
export function FreshnessNotice({ query }: { query: Query }) {
  const t = useTranslate();
  const { duration } = useFormat();
  const { token } = theme.useToken();
  const now = useNow();
  const { age = 0, stale } = (query.data ?? {}) as Freshness;
  const shown = Boolean(query.data) && (stale || query.isError);
  const seconds = Math.round(age + Math.max(0, now - query.dataUpdatedAt) / 1000);
  return (
    <div role="status">
      {shown && (
        <p
          style={{
            display: "flex",
            alignItems: "center",
            flexWrap: "wrap",
            gap: "4px 8px",
            margin: "0 0 12px",
            padding: "8px 14px",
            borderRadius: token.borderRadius,
            background: token.colorWarningBg,
            color: token.colorText,
          }}
        >
          <HistoryOutlined aria-hidden style={{ color: token.colorWarning }} />
          <span>{stale ? t("records.stale", { age: duration(coarse(seconds)) }) : t("records.unsure")}</span>
          <Button type="link" size="small" onClick={() => void query.refetch()} style={{ marginInlineStart: "auto" }}>
            {t("states.retry")}
          </Button>
        </p>
      )}
    </div>
  );
}

/** Whole minutes, from one minute on. */
const coarse = (seconds: number) => (seconds < 60 ? Math.max(1, seconds) : Math.floor(seconds / 60) * 60);

/** An error where nothing is known: Odoo away has words of its own. */
export function AwayState({ error, onRetry }: { error: HttpError | Error | null; onRetry: () => void }) {
  const t = useTranslate();
  if ((error as HttpError | null)?.statusCode !== 503) return <ErrorState error={error} onRetry={onRetry} />;
  return (
    <div role="alert">
      <Empty
        icon={<CloudOutlined />}
        title={t("records.away")}
        text={t("records.awayText")}
        action={
          <Button icon={<ReloadOutlined />} onClick={onRetry}>
            {t("states.retry")}
          </Button>
        }
      />
    </div>
  );
}
