// Job events within one process.
import type { EventBus } from "../event-bus.ts";
import { Listeners } from "../listeners.ts";

interface Options {
  /** Called with errors that listeners throw. They never reach the publisher. Default: errors are ignored. */
  onListenerError?: (error: unknown) => void;
}

/** Creates an event bus for a service with one process. Delivers within `publish`. */
export function createMemoryEventBus({ onListenerError = () => {} }: Options = {}): EventBus {
  const listeners = new Listeners(onListenerError);
  return {
    publish: (event) => listeners.deliver(event),
    publishAccepted() {},
    // There is no other process.
    publishBatch() {},
    onBatch: () => () => {},
    hasListeners: (jobId) => listeners.wantText(jobId),
    subscribe(jobId, listener, wants = "all", onJoined?: () => void) {
      const unsubscribe = listeners.add(jobId, listener, wants, onJoined);
      // Runs after `subscribe` has returned, so the caller has its result first.
      if (wants === "all") queueMicrotask(() => listeners.notifyJoined(jobId));
      return unsubscribe;
    },
    async close() {
      listeners.clear();
    },
  };
}
