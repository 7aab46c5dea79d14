// Sentences about what went wrong or what there is to know.
import type { ComponentChildren } from "preact";
import { ApiError, messageOf } from "../api.ts";

export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  if (error === undefined) return null;
  return (
    <p class="notice bad" role="alert">
      {messageOf(error)}
      {error instanceof ApiError && error.advice && <span class="quiet"> {error.advice}</span>}
      {retry && (
        <button type="button" class="small" onClick={retry}>
          Try again
        </button>
      )}
    </p>
  );
}

export function Notice({ kind = "info", children }: { kind?: "info" | "bad" | "good"; children: ComponentChildren }) {
  return (
    <p class={`notice ${kind}`} role="status">
      {children}
    </p>
  );
}

/** What a page shows to callers that may not see it. */
export function AdminsOnly({ title }: { title: string }) {
  return (
    <>
      <h1>{title}</h1>
      <p class="empty">Only an admin key may see this page.</p>
    </>
  );
}

/** What a list shows that has no rows. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}
