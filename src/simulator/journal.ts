// What was asked of the simulator and what became of it, for tests and for those who watch. Bounded: only the latest
// calls are kept.
import type { Fault } from "./faults.ts";
import type { ExceededQuota } from "./quota-engine.ts";
import type { Operation } from "./simulated-models.ts";

/**
 * - `running`    not ended yet
 * - `answered`   the whole answer was sent
 * - `throttled`  refused by a quota of the simulator (an injected ThrottlingException is `refused`)
 * - `refused`    an HTTP error: an invalid request, credentials that are not accepted, or an injected fault
 * - `broken`     an injected fault spoilt the answer
 * - `aborted`    the client went away first
 */
export type CallOutcome = "running" | "answered" | "throttled" | "refused" | "broken" | "aborted";

export interface RecordedCall {
  /** 1 for the first call since the start. */
  readonly n: number;
  /** As in the response's header `x-amzn-requestid`, or OpenAI's `x-request-id`. */
  readonly requestId: string;
  readonly operation: Operation;
  readonly modelId: string;
  /** From the signature; absent with a bearer key, which names none. */
  readonly region?: string;
  /** From the credentials, if they name one. */
  readonly account?: string;
  /** When the quotas decided, or it was refused before; in ms of the simulator's clock. */
  readonly arrivedAt: number;
  /** The last thing that the user said, up to 1,000 characters. Empty if the request is invalid. */
  readonly prompt: string;
  /** In the simulator's tokens; 0 if the request is invalid. */
  readonly inputTokens: number;
  /** What the call reserved for its output; the model's maximum if it named none. */
  readonly maxTokens: number;
  /** What an injected fault did; absent if nothing. */
  readonly fault?: Fault["kind"];
  readonly outcome: CallOutcome;
  /** Of the response; absent while there is none. */
  readonly status?: number;
  /** The error that was answered, such as ThrottlingException. */
  readonly error?: string;
  readonly outputTokens: number;
  /** The quota that refused it, for `throttled`. */
  readonly quota?: ExceededQuota;
  /** What the quota of tokens is charged with: while it runs the reservation, then what was used, burndown included. */
  readonly chargedTokens?: number;
  /** In ms of the simulator's clock; absent while it runs. */
  readonly endedAt?: number;
}

/** The same while it is written. */
export type OpenCall = { -readonly [K in keyof RecordedCall]: RecordedCall[K] };

export interface Journal {
  readonly calls: readonly RecordedCall[];
  /** All calls since the start. */
  readonly total: number;
  /** Adds a call, numbers it and gives it its request id. */
  open(call: Omit<OpenCall, "n" | "requestId" | "outcome" | "outputTokens">): OpenCall;
}

const promptCharacters = 1_000;

export function createJournal(size: number, nextRequestId: () => string): Journal {
  const calls: OpenCall[] = [];
  let total = 0;
  return {
    calls,
    get total() {
      return total;
    },
    open(call) {
      const opened: OpenCall = {
        ...call,
        prompt: firstCharacters(call.prompt),
        n: ++total,
        requestId: nextRequestId(),
        outcome: "running",
        outputTokens: 0,
      };
      calls.push(opened);
      if (calls.length > size) calls.shift();
      return opened;
    },
  };
}

/** A copy, because a slice would keep the whole of a prompt of megabytes in memory. */
function firstCharacters(prompt: string): string {
  if (prompt.length <= promptCharacters) return prompt;
  return Buffer.from(prompt.slice(0, promptCharacters), "utf16le").toString("utf16le");
}
