import {
  type BaseRecord,
  type HttpError,
  useCreate,
  useOne,
  useTranslate,
  useUpdate,
  useWarnAboutChange,
} from "@refinedev/core";
import { Alert, Button, Card, Col, Form, type FormInstance, Grid, Row, theme } from "antd";
import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { useFormat } from "../../i18n/format.ts";
import { PageLoading } from "../states.tsx";
import { changes, given } from "./changes.ts";
import { type Path, placeErrors } from "./errors.ts";
import { AwayState, FreshnessNotice, useFailure } from "./freshness.tsx";
import { whileAway } from "./use-rows.ts";

interface Options<T extends BaseRecord, V extends object> {
  resource: string;
  /** None: a new one is made. */
  id?: string | undefined;
  /** What the form begins with. */
  read: (record: T) => V;
  /** What is sent; by default what is there, or what was changed. */
  write?: (values: V, before: V | undefined) => object;
  /** What a field is called, to say what somebody else has changed. */
  label: (name: string) => string;
  onSaved: (record: T) => void;
}

interface Base<T, V> {
  record: T;
  values: V;
  etag: string | undefined;
}

/** A form for a record of Odoo's: errors at their fields, and nobody's change lost to another's. */
export function useRecordForm<T extends BaseRecord, V extends object>(options: Options<T, V>) {
  const { resource, id, read, write, onSaved } = options;
  const t = useTranslate();
  const [form] = Form.useForm<V>();
  const { setWarnWhen } = useWarnAboutChange();
  const { query } = useOne<T, HttpError>({
    resource,
    id: id ?? "",
    queryOptions: { enabled: id !== undefined, staleTime: 0, refetchInterval: whileAway },
    errorNotification: false,
  });
  const creating = useCreate<T, HttpError, object>();
  const updating = useUpdate<T, HttpError, object>();
  const [base, setBase] = useState<Base<T, V>>();
  const [refused, setRefused] = useState(false);
  const [error, setError] = useState<string[]>([]);
  const touched = useRef(false);
  const reading = useRef(read);
  reading.current = read;

  const take = useCallback(
    (answer: { data: T; etag?: string }) => {
      const values = reading.current(answer.data);
      setBase({ record: answer.data, values, etag: answer.etag });
      form.setFieldsValue(values as never);
      touched.current = false;
      setWarnWhen(false);
      setRefused(false);
      setError([]);
    },
    [form, setWarnWhen],
  );

  // What comes later is taken only while nothing has been typed.
  const answer = query.data as { data: T; etag?: string } | undefined;
  useEffect(() => {
    if (answer && !touched.current && answer.etag !== base?.etag) take(answer);
  }, [answer, base?.etag, take]);
  useEffect(() => () => setWarnWhen(false), [setWarnWhen]);

  const theirs =
    answer && base && answer.etag !== base.etag ? Object.keys(changes(base.values, read(answer.data))) : [];

  const save = async (etag = base?.etag) => {
    const values = form.getFieldsValue(true) as V;
    setError([]);
    const variables = write ? write(values, base?.values) : base ? changes(base.values, values) : given(values);
    const common = { resource, values: variables, errorNotification: false as const };
    try {
      setWarnWhen(false);
      let saved: T;
      if (id === undefined) {
        const answer = await creating.mutateAsync({ ...common, successNotification: said("records.created") });
        saved = answer.data;
      } else if (Object.keys(variables).length === 0 && base) {
        saved = base.record;
      } else {
        const answer = await updating.mutateAsync({
          ...common,
          id,
          mutationMode: "pessimistic",
          meta: { ifMatch: etag },
          successNotification: said("records.saved"),
        });
        saved = answer.data;
      }
      touched.current = false;
      onSaved(saved);
    } catch (failure) {
      setWarnWhen(true);
      const problem = failure as HttpError;
      if (problem.statusCode === 412) {
        setRefused(true);
        await query.refetch();
        return;
      }
      const { fields, rest } = placeErrors(problem, (path) => hasField(form, path));
      form.setFields(fields as never);
      setError(fields.length > 0 && rest.length === 0 ? [t("records.correct")] : rest);
      if (fields[0]) form.scrollToField(fields[0].name as never, { block: "center", focus: true });
    }
  };

  const said = (key: string) => (answer: { data?: BaseRecord } | undefined) => ({
    type: "success" as const,
    message: t(key, { name: answer?.data?.name ?? "" }),
  });

  return {
    form,
    base,
    query,
    creating: id === undefined,
    saving: creating.mutation.isPending || updating.mutation.isPending,
    error,
    /** What somebody else has changed since this was read, while there is something to lose. */
    conflict: refused || (touched.current && theirs.length > 0) ? theirs.map(options.label) : undefined,
    takeTheirs: async () => {
      const fresh = await query.refetch();
      if (fresh.data) take(fresh.data as never);
    },
    saveMine: async () => {
      const fresh = await query.refetch();
      await save((fresh.data as { etag?: string } | undefined)?.etag);
    },
    save: () => save(),
    touch: () => {
      touched.current = true;
      setWarnWhen(true);
    },
  };
}

/** Whether a field of that name is on the page. */
function hasField<V>(form: FormInstance<V>, path: Path): boolean {
  return form.getFieldsError().some(({ name }) => name.join(".") === path.join("."));
}

/** The frame of a form: its fields, what went wrong, and the buttons. */
export function RecordForm<T extends BaseRecord, V extends object>({
  control,
  initial,
  onCancel,
  children,
}: {
  control: ReturnType<typeof useRecordForm<T, V>>;
  /** Of a new one. */
  initial?: Partial<V>;
  onCancel: () => void;
  children: (base: T | undefined) => ReactNode;
}) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const { list } = useFormat();
  const { md } = Grid.useBreakpoint();
  const { form, base, query, creating, saving, error, conflict } = control;
  const failure = useFailure(query);
  if (!creating && !base) {
    if (!failure) return <PageLoading />;
    return (
      <Card>
        <AwayState error={failure} onRetry={() => void query.refetch()} />
      </Card>
    );
  }
  return (
    <Form<V>
      form={form}
      layout="vertical"
      requiredMark={(label, { required }) => (
        <span>
          {label}
          {required && (
            <span aria-hidden style={{ color: token.colorError, marginInlineStart: 4 }}>
              *
            </span>
          )}
        </span>
      )}
      initialValues={creating ? initial : base?.values}
      onValuesChange={control.touch}
      onFinish={control.save}
      scrollToFirstError={{ focus: true, block: "center" } as never}
      validateMessages={{ required: t("records.required") }}
      disabled={saving}
      style={{ maxWidth: 980 }}
    >
      {!creating && <FreshnessNotice query={query} />}
      {conflict && (
        <Alert
          type="warning"
          showIcon
          role="alert"
          style={{ marginBlockEnd: 16 }}
          message={t("records.conflict.title")}
          description={
            <>
              {conflict.length > 0 && (
                <p style={{ margin: 0 }}>{t("records.conflict.fields", { fields: list(conflict) })}</p>
              )}
              <p style={{ margin: "0 0 12px" }}>{t("records.conflict.text")}</p>
              <div style={{ display: "flex", flexWrap: "wrap", gap: 8 }}>
                <Button onClick={() => void control.takeTheirs()}>{t("records.conflict.theirs")}</Button>
                <Button onClick={() => void control.saveMine()}>{t("records.conflict.mine")}</Button>
              </div>
            </>
          }
        />
      )}
      {error.length > 0 && (
        <Alert
          type="error"
          showIcon
          role="alert"
          style={{ marginBlockEnd: 16 }}
          message={error.length === 1 ? error[0] : error.map((text) => <div key={text}>{text}</div>)}
        />
      )}
      {children(base?.record)}
      <div
        style={{
          position: "sticky",
          bottom: 0,
          zIndex: 5,
          display: "flex",
          justifyContent: "flex-end",
          gap: 8,
          padding: "12px 0",
          background: token.colorBgLayout,
          borderBlockStart: `1px solid ${token.colorBorderSecondary}`,
        }}
      >
        <Button onClick={onCancel} disabled={saving} style={md ? undefined : { flex: 1 }}>
          {t("buttons.cancel")}
        </Button>
        <Button type="primary" htmlType="submit" loading={saving} style={md ? undefined : { flex: 1 }}>
          {t("buttons.save")}
        </Button>
      </div>
    </Form>
  );
}

/** Fields that belong together. */
export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Card
      title={<h2 style={{ font: "inherit", margin: 0 }}>{title}</h2>}
      style={{ marginBlockEnd: 16 }}
      styles={{ body: { paddingBlockEnd: 0 } }}
    >
      <Row gutter={[20, 0]}>{children}</Row>
    </Card>
  );
}

/** A part of a section's line: all of it on a phone. Of 24 parts, half by default. */
export function Cell({ span = 12, children }: { span?: number; children: ReactNode }) {
  return (
    <Col xs={24} md={span}>
      {children}
    </Col>
  );
}
