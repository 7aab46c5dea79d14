// Events within one process.
import type { EventBus } from "../event-bus.ts";
import { Listeners } from "../listeners.ts";

interface Options {
  /** Told of what a listener throws, which never reaches the publisher. Default: nobody is. */
  onListenerError?: (error: unknown) => void;
}

/** An event bus for a service that is one process. Delivers within `publish`. */
export function createMemoryEventBus({ onListenerError = () => {} }: Options = {}): EventBus {
  const listeners = new Listeners(onListenerError);
  return {
    publish: (event) => listeners.deliver(event),
    hasListeners: (jobId) => listeners.wantText(jobId),
    subscribe(jobId, listener, wants = "all", onJoined?: () => void) {
      const leave = listeners.add(jobId, listener, wants, onJoined);
      // Whoever subscribes is not told of anything before that is done.
      if (wants === "all") queueMicrotask(() => listeners.joined(jobId));
      return leave;
    },
    async close() {
      listeners.clear();
    },
  };
}
