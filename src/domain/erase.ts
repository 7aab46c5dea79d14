// What is left of a job whose texts were erased: that it was, how large, how it ended and what it cost.
import type { Outcome } from "./job.ts";
import type { CanonicalRequest } from "./request.ts";

export function erasedRequest({ parameters }: CanonicalRequest): CanonicalRequest {
  const { stop: _, ...numbers } = parameters;
  return { messages: [], parameters: numbers };
}

export function erasedOutcome({ toolCalls: _, ...rest }: Outcome): Outcome {
  return rest.text === undefined ? rest : { ...rest, text: "" };
}

/** A request that can still be asked has messages. */
export function isErased(request: CanonicalRequest): boolean {
  return request.messages.length === 0;
}
