// Records what the simulator was asked and how each call ended, for tests and for operators. Bounded: keeps only the
// latest calls.
import type { Fault } from "./faults.ts";
import type { ExceededQuota } from "./quota-engine.ts";
import type { Operation } from "./simulated-models.ts";

/**
 * State of a call:
 * - `running`: not ended yet
 * - `answered`: the whole answer was sent
 * - `throttled`: refused by a quota of the simulator (an injected ThrottlingException is `refused`)
 * - `refused`: an HTTP error: an invalid request, credentials that are not accepted, or an injected fault
 * - `broken`: an injected fault corrupted the answer
 * - `aborted`: the client disconnected first
 */
export type CallOutcome = "running" | "answered" | "throttled" | "refused" | "broken" | "aborted";

/** One call as the journal records it. */
export interface RecordedCall {
  /** Number of the call since the start, from 1. */
  readonly n: number;
  /** Request id, as in the response's header `x-amzn-requestid`, or OpenAI's `x-request-id`. */
  readonly requestId: string;
  readonly operation: Operation;
  readonly modelId: string;
  /** Region from the signature. Absent with a bearer key, which names none. */
  readonly region?: string;
  /** Account of the credentials, if they name one. */
  readonly account?: string;
  /** When the quotas decided, or the call was refused before that, in milliseconds of the simulator's clock. */
  readonly arrivedAt: number;
  /** The user's last message, up to 1,000 characters. Empty if the request is invalid. */
  readonly prompt: string;
  /** Input in the simulator's tokens. 0 if the request is invalid. */
  readonly inputTokens: number;
  /** Tokens that the call reserved for its output. The model's maximum if it named none. */
  readonly maxTokens: number;
  /** Injected fault of the call. Absent if there was none. */
  readonly fault?: Fault["kind"];
  readonly outcome: CallOutcome;
  /** Status of the response. Absent while there is none. */
  readonly status?: number;
  /** Error of the response, such as ThrottlingException. */
  readonly error?: string;
  readonly outputTokens: number;
  /** Quota that refused the call, for `throttled`. */
  readonly quota?: ExceededQuota;
  /** Charge to the quota of tokens: the reservation while the call runs, then the real use, burndown included. */
  readonly chargedTokens?: number;
  /** End, in milliseconds of the simulator's clock. Absent while the call runs. */
  readonly endedAt?: number;
}

/** A recorded call that is still being written. */
export type OpenCall = { -readonly [K in keyof RecordedCall]: RecordedCall[K] };

/** The latest calls. */
export interface Journal {
  readonly calls: readonly RecordedCall[];
  /** Number of calls since the start. */
  readonly total: number;
  /** Adds a call, numbers it and assigns its request id. */
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

/** Returns a copy, because a slice would keep the whole prompt of several megabytes in memory. */
function firstCharacters(prompt: string): string {
  if (prompt.length <= promptCharacters) return prompt;
  return Buffer.from(prompt.slice(0, promptCharacters), "utf16le").toString("utf16le");
}
