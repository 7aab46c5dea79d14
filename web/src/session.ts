// Who uses the dashboard. The page starts with this and shows the sign-in form until there is a session.
import { signal } from "@preact/signals";
import { call, onSignedOut } from "./api.ts";
import type { Session } from "./resources.ts";

/** Undefined until the service has answered. */
export const session = signal<Session | undefined>(undefined);
/** Why the session cannot be read. */
export const sessionError = signal<unknown>(undefined);

/** Whether the session ended without the user's doing: it expired, its key was revoked, or another tab signed out. */
export const sessionEnded = signal(false);

/** Tells the other tabs of this browser, which share the cookie, to look at the session again. */
const tabs = new BroadcastChannel("sluice-session");
tabs.onmessage = () => loadSession();

onSignedOut.add(() => {
  if (session.peek()?.signed_in) loadSession();
});

export async function loadSession(): Promise<void> {
  try {
    const next = await call<Session>("session");
    if (session.peek()?.signed_in) sessionEnded.value = !next.signed_in;
    session.value = next;
    sessionError.value = undefined;
  } catch (error) {
    sessionError.value = error;
  }
}

/** Signs in. Throws ApiError for a wrong key. */
export async function signIn(key: string): Promise<void> {
  change(await call<Session>("session", { method: "POST", body: { key } }));
}

export async function signOut(): Promise<void> {
  change(await call<Session>("session", { method: "DELETE" }));
}

function change(next: Session): void {
  sessionEnded.value = false;
  session.value = next;
  tabs.postMessage("changed");
}

/** Whether the caller may change anything. A read-only key sees no buttons. */
export function mayChange(): boolean {
  return session.value !== undefined && !session.value.read_only;
}
