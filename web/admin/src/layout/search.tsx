import { SearchOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import { Button, theme } from "antd";
import { useEffect, useState } from "react";
import { flushSync } from "react-dom";
import { Palette } from "./palette.tsx";

const mac = /mac|iphone|ipad/i.test(navigator.userAgent);

/** Opens the palette, as Ctrl+K does anywhere. */
export function Search({ short }: { short: boolean }) {
  const t = useTranslate();
  const { token } = theme.useToken();
  const [open, setOpen] = useState(false);

  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(mac ? event.metaKey : event.ctrlKey) || event.shiftKey || event.altKey)
        return;
      event.preventDefault();
      flushSync(() => setOpen(true)); // before the next key
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);

  return (
    <>
      <Button
        type={short ? "text" : "default"}
        icon={<SearchOutlined />}
        onClick={() => setOpen(true)}
        aria-keyshortcuts={mac ? "Meta+K" : "Control+K"}
        style={short ? undefined : { width: 240, justifyContent: "start", color: token.colorTextSecondary }}
      >
        <span className={short ? "only-read" : undefined} style={{ flex: 1, textAlign: "start", fontWeight: 400 }}>
          {t("header.search")}
        </span>
        {!short && (
          <kbd aria-hidden style={{ font: "inherit", fontSize: 12, fontWeight: 400 }}>
            {mac ? "⌘ K" : "Ctrl K"}
          </kbd>
        )}
      </Button>
      {open && <Palette onClose={() => setOpen(false)} />}
    </>
  );
}
