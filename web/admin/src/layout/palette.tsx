import { SearchOutlined } from "@ant-design/icons";
import { useTranslate } from "@refinedev/core";
import { theme as antd } from "antd";
import { type KeyboardEvent, useId, useLayoutEffect, useMemo, useRef, useState } from "react";
import { createPortal } from "react-dom";
import { useSettled } from "../connection.ts";
import { type Choice, matches, useCommands } from "./commands.tsx";
import { useFound } from "./found.ts";
import "./palette.css";

/**
 * Goes anywhere, finds anything, does what can be done: by typing a few letters. The browser's own dialog is open, and
 * its field has the focus, before the key that opened it is let go: no letter is lost.
 */
export function Palette({ onClose }: { onClose: () => void }) {
  const t = useTranslate();
  const { token } = antd.useToken();
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const { found, busy } = useFound(useSettled(typed.trim(), 200));
  const commands = useCommands();

  useLayoutEffect(() => dialog.current?.showModal(), []);

  const choices = useMemo(() => {
    const text = typed.trim();
    return [...commands.filter((command) => matches(command, text)), ...(text.length > 1 ? found : [])];
  }, [commands, found, typed]);
  const chosen = choices[Math.min(at, choices.length - 1)];

  const run = (choice: Choice | undefined) => {
    if (!choice) return;
    dialog.current?.close();
    choice.run();
  };
  const key = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" && !event.nativeEvent.isComposing) run(chosen);
    if (!step || choices.length === 0) return;
    event.preventDefault();
    const to = (Math.min(at, choices.length - 1) + step + choices.length) % choices.length;
    setAt(to);
    document.getElementById(`${list}${choices[to]?.key}`)?.scrollIntoView({ block: "nearest" });
  };

  return createPortal(
    // biome-ignore lint/a11y/useKeyWithClickEvents: a click beside the dialog closes it, as Escape does
    <dialog
      ref={dialog}
      className="palette"
      aria-label={t("header.search")}
      onClose={onClose}
      onClick={({ target }) => target === dialog.current && dialog.current?.close()}
      style={{
        background: token.colorBgElevated,
        color: token.colorText,
        borderRadius: token.borderRadiusLG,
        boxShadow: token.boxShadowSecondary,
      }}
    >
      <div className="palette-field" style={{ borderBlockEnd: `1px solid ${token.colorBorderSecondary}` }}>
        <SearchOutlined aria-hidden style={{ color: token.colorTextSecondary }} />
        <input
          autoFocus
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
          spellCheck={false}
          maxLength={200}
        />
      </div>
      <div id={list} role="listbox" aria-label={t("header.search")} className="palette-choices">
        {choices.map((choice, i) => (
          <div key={choice.key} role="presentation">
            {choice.group !== choices[i - 1]?.group && (
              <div aria-hidden className="palette-group" style={{ color: token.colorTextSecondary }}>
                {choice.group}
              </div>
            )}
            {/* biome-ignore lint/a11y/useKeyWithClickEvents: the focus stays in the combobox, whose keys choose and run */}
            <div
              id={list + choice.key}
              role="option"
              tabIndex={-1}
              aria-selected={choice === chosen}
              className="palette-choice"
              onClick={() => run(choice)}
              onPointerMove={() => setAt(i)}
              style={{ background: choice === chosen ? token.colorFillTertiary : undefined }}
            >
              <span aria-hidden>{choice.icon}</span>
              <span className="palette-text" style={choice.more ? { color: token.colorLink } : undefined}>
                {choice.text}
              </span>
              <span style={{ color: token.colorTextSecondary, fontSize: 13, whiteSpace: "nowrap" }}>{choice.note}</span>
            </div>
          </div>
        ))}
      </div>
      {(choices.length === 0 || busy) && (
        <div role="status" className="palette-state" style={{ color: token.colorTextSecondary }}>
          {t(busy ? "states.loading" : "palette.nothing")}
        </div>
      )}
    </dialog>,
    document.body,
  );
}
