// Exchanges an API key for a session.
import { useEffect, useRef, useState } from "preact/hooks";
import { Failure, Notice } from "../parts/notice.tsx";
import { sessionEnded, signIn } from "../session.ts";

export function SignInPage() {
  const [key, setKey] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);

  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    await signIn(key.trim()).catch(setError);
    setBusy(false);
  }

  return (
    <main class="sign-in">
      <h1>Sluice</h1>
      {sessionEnded.value && <Notice>Your session has ended. Sign in to return to your page.</Notice>}
      <form onSubmit={submit}>
        <label>
          API key
          <input
            ref={field}
            type="password"
            name="key"
            autocomplete="current-password"
            required
            spellcheck={false}
            value={key}
            onInput={({ currentTarget }) => setKey(currentTarget.value)}
            aria-describedby="key-help"
          />
        </label>
        <p id="key-help" class="quiet">
          It begins with <code>sk-sluice-</code>. The command <code>sluice keys create</code> makes one. The browser
          keeps a session, not the key.
        </p>
        <Failure error={error} />
        <button type="submit" class="primary" disabled={busy || key.trim() === ""}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}
