// Asks before something changes. Built on the browser's own dialog, which keeps the focus, closes with Escape, and then gives
// the focus back to the button that opened it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { focusHeading } from "../focus.ts";
import { Failure } from "./notice.tsx";

export interface ConfirmProps {
  title: string;
  children: ComponentChildren;
  /** The words on the button that does it, such as `Cancel 3 jobs`. */
  action: string;
  danger?: boolean;
  disabled?: boolean;
  /** Does it. Then the heading of the page has the focus, because the button may be gone. The dialog stays open and shows the reason if this rejects. */
  onConfirm: () => Promise<void>;
  /** Called after the dialog has closed. */
  onClose: () => void;
}

export function Confirm({
  title,
  children,
  action,
  danger = false,
  disabled = false,
  onConfirm,
  onClose,
}: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);

  async function confirm(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await onConfirm();
      dialog.current?.close();
      focusHeading();
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  }

  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="confirm-title">
      <form onSubmit={confirm}>
        <h2 id="confirm-title">{title}</h2>
        {children}
        <Failure error={error} />
        <div class="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Back
          </button>
          <button type="submit" class={danger ? "danger" : "primary"} disabled={busy || disabled}>
            {busy ? "Working…" : action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
