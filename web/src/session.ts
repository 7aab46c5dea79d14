// Who uses the dashboard. The page starts with this and shows the sign-in form until there is a session.
import { signal } from "@preact/signals";
import { call, onSignedOut } from "./api.ts";
import type { Session } from "./resources.ts";

/** Undefined until the service has answered. */
export const session = signal<Session | undefined>(undefined);
/** Why the session cannot be read. */
export const sessionError = signal<unknown>(undefined);

/** Tells the other tabs of this browser about a sign-out. */
const tabs = new BroadcastChannel("sluice-session");
tabs.onmessage = () => {
  for (const notify of onSignedOut) notify();
};

onSignedOut.add(() => {
  const current = session.peek();
  if (current?.signed_in) session.value = { ...current, signed_in: false };
});

export async function loadSession(): Promise<void> {
  try {
    session.value = await call<Session>("session");
    sessionError.value = undefined;
  } catch (error) {
    sessionError.value = error;
  }
}

/** Signs in. Throws ApiError for a wrong key. */
export async function signIn(key: string): Promise<void> {
  session.value = await call<Session>("session", { method: "POST", body: { key } });
}

export async function signOut(): Promise<void> {
  session.value = await call<Session>("session", { method: "DELETE" });
  tabs.postMessage("signed out");
}

/** Whether the caller may change anything. A read-only key sees no buttons. */
export function mayChange(): boolean {
  return session.value !== undefined && !session.value.read_only;
}
