// The one event stream of this tab. It closes while the tab is hidden, and reconnects by itself. While it is interrupted,
// the last snapshot stays, and the page shows its age.
import { signal } from "@preact/signals";
import { base, onSignedOut } from "./api.ts";
import type { Snapshot } from "./resources.ts";

export const snapshot = signal<Snapshot | undefined>(undefined);
/** Since when the stream is interrupted, in milliseconds since the epoch. Undefined while it works or is paused. */
export const offlineSince = signal<number | undefined>(undefined);
/** The time of the service in milliseconds since the epoch, updated once a second; the browser's clock may be wrong. */
export const now = signal(Date.now());

const firstRetryMs = 500;
const longestRetryMs = 10_000;

let stream: EventSource | undefined;
let retry: number | undefined;
let failures = 0;
let running = false;
let offsetMs = 0;

setInterval(() => {
  now.value = Date.now() + offsetMs;
}, 1000);

/** Opens the stream. Opening it twice changes nothing. */
export function startLive(): void {
  if (running) return;
  running = true;
  document.addEventListener("visibilitychange", follow);
  follow();
}

export function stopLive(): void {
  running = false;
  document.removeEventListener("visibilitychange", follow);
  close();
  offlineSince.value = undefined;
  snapshot.value = undefined;
}

function follow(): void {
  if (document.hidden) close();
  else if (!stream) open();
}

function open(): void {
  close();
  stream = new EventSource(new URL("api/live", base));
  stream.onmessage = ({ data }) => {
    const next = JSON.parse(data) as Snapshot;
    failures = 0;
    offsetMs = Date.parse(next.at) - Date.now();
    now.value = Date.parse(next.at);
    offlineSince.value = undefined;
    snapshot.value = next;
  };
  stream.addEventListener("signed_out", doubtSession);
  stream.onerror = () => {
    offlineSince.value ??= Date.now();
    close();
    // An EventSource does not tell a refusal from a lost connection.
    doubtSession();
    retry = window.setTimeout(open, Math.min(longestRetryMs, firstRetryMs * 2 ** failures++));
  };
}

function doubtSession(): void {
  for (const notify of onSignedOut) notify();
}

function close(): void {
  clearTimeout(retry);
  stream?.close();
  stream = undefined;
}
