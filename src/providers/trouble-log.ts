// Says in the log when a deployment stops answering and why, and when it answers again: once each, however many jobs meet
// the same refusal.
import type { Logger } from "pino";
import { type Provider, ProviderError } from "./provider.ts";

/** @param deployment its id */
export function loggingTrouble(provider: Provider, deployment: string, log: Logger): Provider {
  let reason: string | undefined;
  return {
    async call(call) {
      try {
        const answer = await provider.call(call);
        if (reason !== undefined) log.info({ deployment }, "the deployment answers again");
        reason = undefined;
        return answer;
      } catch (error) {
        if (error instanceof ProviderError) note(error.failure);
        throw error;
      }
    },
    close: () => provider.close(),
  };

  function note({ kind, throttle, message }: ProviderError["failure"]): void {
    // Other throttles are what limits are learned from, many times a day.
    const isDayUsedUp = kind === "throttled" && throttle === "tokens_per_day";
    if ((kind !== "misconfigured" && kind !== "capacity" && !isDayUsedUp) || message === reason) return;
    reason = message;
    if (kind === "misconfigured") log.error({ deployment }, `a deployment is out of service: ${message}`);
    else if (isDayUsedUp) log.warn({ deployment }, `a deployment waits, its tokens per day are used up: ${message}`);
    else log.warn({ deployment }, `a deployment cools down: ${message}`);
  }
}
