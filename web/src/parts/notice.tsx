// Sentences about what went wrong or what there is to know.
import type { ComponentChildren } from "preact";
import { ApiError, messageOf } from "../api.ts";

/** @param retry offered only if the same call may succeed later */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  if (error === undefined) return null;
  return (
    <p class="notice bad" role="alert">
      {messageOf(error)}
      {error instanceof ApiError && error.advice && <span class="quiet"> {error.advice}</span>}
      {retry && (!(error instanceof ApiError) || error.mayPass) && (
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

export interface MissingProps {
  /** What the page would show. */
  title: string;
  error: unknown;
  retry: () => void;
  /** A link to a page that exists. */
  children: ComponentChildren;
}

/** What a page shows in place of a resource that it cannot read. Shows nothing before the first answer. */
export function Missing({ title, error, retry, children }: MissingProps) {
  if (error === undefined) return null;
  return (
    <>
      <h1>{title}</h1>
      <Failure error={error} retry={retry} />
      <p>{children}</p>
    </>
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
