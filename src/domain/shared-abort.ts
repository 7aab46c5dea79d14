// Signals that many operations listen to at once. Node warns of a leak at the eleventh listener; here each operation takes
// its listener away when it ends, so the number of listeners is that of operations under way.
import { setMaxListeners } from "node:events";

/** Creates a controller whose signal any number of operations may listen to. */
export function sharedAbort(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** Creates a signal that is aborted after a time, in milliseconds, and that any number of operations may listen to. */
export function sharedTimeout(ms: number): AbortSignal {
  const signal = AbortSignal.timeout(ms);
  setMaxListeners(0, signal);
  return signal;
}
