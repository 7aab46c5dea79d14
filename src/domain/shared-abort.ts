// Abort signals with many listeners. Node warns of a leak at the eleventh listener. Here each operation removes its
// listener when it ends, so there are only as many listeners as running operations.
import { setMaxListeners } from "node:events";

/** Creates a controller whose signal any number of operations may listen to. */
export function sharedAbort(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** Creates a signal that aborts after a time, in milliseconds, and that any number of operations may listen to. */
export function sharedTimeout(ms: number): AbortSignal {
  const signal = AbortSignal.timeout(ms);
  setMaxListeners(0, signal);
  return signal;
}
