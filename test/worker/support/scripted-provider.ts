// A provider within the process whose calls a test sees, and answers when it likes.

import type { Clock } from "../../../src/domain/clock.ts";
import { type CanonicalRequest, isNative, type JobRequest } from "../../../src/domain/request.ts";
import {
  type Provider,
  type ProviderAnswer,
  type ProviderCall,
  ProviderError,
  type ProviderFailure,
} from "../../../src/providers/provider.ts";

export interface SeenCall {
  /** The text of the last message, or the body of a native request. */
  prompt: string;
  request: JobRequest;
  /** When it was sent, by the clock. */
  at: number;
  aborted: boolean;
  /** The trace that it was sent with. */
  trace: string | undefined;
  /** Set it to let the call go on after an abort, like one whose answer is on its way already. */
  deaf: boolean;
  stream(text: string): void;
  answer(answer?: Partial<ProviderAnswer>): void;
  fail(failure: Partial<ProviderFailure> & Pick<ProviderFailure, "kind">): void;
  throw(error: unknown): void;
}

export interface ScriptedProvider extends Provider {
  /** In the order of sending. */
  calls: SeenCall[];
}

/** @param respond called with each new call, before it leaves; without it calls stay open until the test answers them */
export function scriptedProvider(clock: Clock, respond: (call: SeenCall) => void = () => {}): ScriptedProvider {
  const calls: SeenCall[] = [];
  return {
    calls,
    call({ request, signal, onText, onOutput, onSent, trace }: ProviderCall) {
      return new Promise((resolve, reject) => {
        const prompt = isNative(request) ? request.native.body : promptOf(request);
        const seen: SeenCall = {
          prompt,
          request,
          at: clock.now(),
          aborted: false,
          trace: trace?.traceparent,
          deaf: false,
          stream(text) {
            onOutput?.(text);
            onText?.(text);
          },
          answer: (answer) =>
            resolve({
              text: `answer to ${prompt}`,
              toolCalls: [],
              finishReason: "stop",
              usage: { input: 10, output: 5 },
              ...answer,
            }),
          fail: (failure) =>
            reject(
              new ProviderError({ code: "model_unavailable", message: "as scripted", maybeBilled: false, ...failure }),
            ),
          throw: reject,
        };
        signal.addEventListener("abort", () => {
          seen.aborted = true;
          if (!seen.deaf) seen.fail({ kind: "aborted", code: "cancelled", maybeBilled: true });
        });
        calls.push(seen);
        respond(seen);
        onSent?.();
      });
    },
    async close() {},
  };
}

function promptOf({ messages }: CanonicalRequest): string {
  const block = messages.at(-1)!.content[0]!;
  return block.type === "text" ? block.text : "";
}
