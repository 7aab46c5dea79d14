// A request in Bedrock's own format as a call: its body is sent as it is, and the answer is kept as it comes.
import type { NativeAnswer, NativeRequest } from "../../domain/native-request.ts";
import { eventLine } from "../../native/event-lines.ts";
import { NativeAnswerReader } from "../../native/native-answer.ts";
import { AnswerSize } from "../bounds.ts";
import { ProviderError } from "../provider.ts";
import type { Listeners, ModelCall } from "./model-call.ts";

/**
 * Creates the call of a request.
 * @param maxAnswerBytes as in `ProviderCall`
 */
export function nativeCall({ native }: NativeRequest, listeners: Listeners, maxAnswerBytes?: number): ModelCall {
  const { operation, streamed, body, headers } = native;
  const reader = new NativeAnswerReader(operation);
  const size = new AnswerSize(maxAnswerBytes);
  const raw: NativeAnswer = {};
  const isGuarded = (text: string) => /guardrailIdentifier/i.test(text);
  return {
    request: {
      operation: streamed ? streamedOperations[operation] : operation,
      body,
      ...(headers && { headers }),
    },
    streamed,
    guardrail: isGuarded(body) || Object.keys(headers ?? {}).some(isGuarded),
    addHeaders(all) {
      raw.headers = Object.fromEntries(Object.entries(all).filter(([name]) => keptHeaders.test(name)));
    },
    addBody(text) {
      size.add(text);
      if (!reader.addBody(text) && /json/.test(raw.headers?.["content-type"] ?? "json")) {
        throw new SyntaxError("The body is not JSON.");
      }
      raw.body = text;
    },
    addEvent(type, payload) {
      const line = eventLine(type, payload);
      size.add(line);
      raw.events = (raw.events ?? "") + line;
      const added = reader.addEvent(type, payload);
      if (added && added.output !== "") {
        listeners.onDelta();
        listeners.onOutput(added.output);
      }
      listeners.onText(line);
      return added !== undefined;
    },
    get isComplete() {
      return streamed ? reader.hasStopped : raw.body !== undefined;
    },
    answer(requestId) {
      if (streamed && !(raw.events !== undefined && reader.isComplete)) throw new ProviderError(cutOff(requestId));
      reader.addHeaders(raw.headers ?? {});
      return { ...reader.extracted(), native: raw, ...(requestId !== undefined && { requestId }) };
    },
  };
}

const streamedOperations = { converse: "converse-stream", invoke: "invoke-with-response-stream" } as const;

/** Headers of an answer that callers may need. */
const keptHeaders = /^(content-type|x-amzn-bedrock-[a-z-]+)$/;

function cutOff(requestId: string | undefined) {
  return {
    kind: "transient" as const,
    code: "unknown_end" as const,
    message: "The provider stopped before the answer was complete.",
    maybeBilled: true,
    ...(requestId !== undefined && { requestId }),
  };
}
