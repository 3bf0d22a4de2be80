import i18next from "i18next";
import { Component, type ErrorInfo, type ReactNode } from "react";

/** Takes what a page throws, or a chunk that is gone since a new version is there, and offers to load again. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidCatch(error: Error, { componentStack }: ErrorInfo) {
    console.error(error, componentStack);
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div
        role="alert"
        style={{ maxWidth: 440, margin: "12vh auto", padding: 16, textAlign: "center", lineHeight: 1.6 }}
      >
        <h1 style={{ fontSize: 20 }}>{i18next.t("states.crashed")}</h1>
        <p>{i18next.t("states.crashedText")}</p>
        <button type="button" style={{ font: "inherit", padding: "8px 20px" }} onClick={() => location.reload()}>
          {i18next.t("states.reload")}
        </button>
      </div>
    );
  }
}
