// Events within one process: a set of listeners for each job that somebody listens to.
import type { JobId } from "../../domain/ids.ts";
import type { EventBus, JobEvent, JobListener } from "../event-bus.ts";

interface Subscription {
  listener: JobListener;
  wants: "all" | "states";
}

interface Options {
  /** Told of what a listener throws, which never reaches the publisher. Default: nobody is. */
  onListenerError?: (error: unknown) => void;
}

/** An event bus for a service that is one process. Delivers within `publish`. */
export function createMemoryEventBus(options: Options = {}): EventBus {
  const subscriptions = new Map<JobId, Set<Subscription>>();

  function deliver(event: JobEvent): void {
    for (const { listener, wants } of subscriptions.get(event.jobId) ?? []) {
      if (wants === "states" && event.type !== "state") continue;
      try {
        listener(event);
      } catch (error) {
        options.onListenerError?.(error);
      }
    }
  }

  return {
    publish: deliver,

    hasListeners(jobId) {
      for (const { wants } of subscriptions.get(jobId) ?? []) if (wants === "all") return true;
      return false;
    },

    subscribe(jobId, listener, wants = "all") {
      const subscription = { listener, wants };
      const ofJob = subscriptions.get(jobId) ?? new Set();
      subscriptions.set(jobId, ofJob.add(subscription));
      return () => {
        ofJob.delete(subscription);
        if (ofJob.size === 0 && subscriptions.get(jobId) === ofJob) subscriptions.delete(jobId);
      };
    },

    async close() {
      subscriptions.clear();
    },
  };
}
