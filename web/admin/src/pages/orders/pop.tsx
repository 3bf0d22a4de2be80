import { Popover, type PopoverProps } from "antd";
import { type ReactNode, useRef } from "react";

interface Props extends Pick<PopoverProps, "placement" | "title" | "children"> {
  /** What it is, for those who do not see it. */
  label: string;
  content: ReactNode;
  open: boolean;
  onOpen: (open: boolean) => void;
}

/** Something that opens over the page. The focus goes into it, and comes back when Escape closes it. */
export function Pop({ label, content, open, onOpen, ...props }: Props) {
  const inside = useRef<HTMLDivElement>(null);
  const before = useRef<Element | null>(null);
  return (
    <Popover
      {...props}
      trigger="click"
      arrow={false}
      open={open}
      onOpenChange={(to) => {
        if (to) before.current = document.activeElement;
        onOpen(to);
      }}
      afterOpenChange={(is) => is && inside.current?.focus({ preventScroll: true })}
      content={
        <div
          ref={inside}
          role="dialog"
          aria-label={label}
          tabIndex={-1}
          style={{ outline: "none" }}
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            event.stopPropagation();
            onOpen(false);
            if (before.current instanceof HTMLElement) before.current.focus();
          }}
        >
          {content}
        </div>
      }
    />
  );
}
