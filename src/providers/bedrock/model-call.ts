// What the two kinds of calls, canonical and native, are for the provider that runs them.
import type { ProviderAnswer } from "../provider.ts";
import type { ModelRequest } from "./bedrock-transport.ts";

/** One call: what is sent, and the answer as it arrives. */
export interface ModelCall {
  request: ModelRequest;
  streamed: boolean;
  /** Whether the request names a guardrail. Then a guardrail's refusal concerns the request itself. */
  guardrail: boolean;
  /** Adds the headers of the answer, by lower-case names. */
  addHeaders?(headers: Record<string, string>): void;
  /** Adds the body of an answer that is not streamed. @throws SyntaxError if it is cut off */
  addBody(body: string): void;
  /** Adds an event of a streamed answer. Returns whether it is part of one. @throws ProviderError if it is too large */
  addEvent(type: string, payload: string): boolean;
  /** Whether the model has finished. Then a later error does not discard the answer. */
  readonly isComplete: boolean;
  /** Returns the answer. @throws ProviderError if it is not a usable one */
  answer(requestId: string | undefined): ProviderAnswer;
}

/** What is told about a streamed answer while it arrives. */
export interface Listeners {
  /** Called with the text for the caller: of a native call, with lines of events. */
  onText(text: string): void;
  /** Called with everything that the model generated. */
  onOutput(piece: string): void;
  /** Called when the model has generated something. */
  onDelta(): void;
}
