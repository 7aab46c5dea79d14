// A button that copies a text.
import { useState } from "preact/hooks";

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [result, setResult] = useState<string | undefined>();

  async function copy(): Promise<void> {
    setResult((await copied(text)) ? "Copied" : "Select the text to copy it");
    setTimeout(() => setResult(undefined), 2000);
  }

  return (
    <button type="button" class="small" onClick={copy}>
      <span aria-live="polite">{result ?? label}</span>
    </button>
  );
}

/** Copies a text. Returns whether it did: browsers offer the clipboard over TLS and on localhost only. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    // Inside an open dialog, nothing outside it can be selected.
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
