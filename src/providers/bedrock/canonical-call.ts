// A request in canonical form as a call of Converse or ConverseStream.
import { withAnswerTool } from "../../domain/answer-tool.ts";
import type { CanonicalRequest } from "../../domain/request.ts";
import { AnswerCollector, receivedAtOnce, toAnswer } from "./bedrock-answer.ts";
import { type BedrockTraits, converseBody } from "./bedrock-request.ts";
import type { Listeners, ModelCall } from "./model-call.ts";

/** What a deployment's model can do. */
export interface ConverseOptions {
  /** Whether the model can stream. If not, the answer arrives in one piece. */
  streaming: boolean;
  /** What else is known about the model. Default: nothing. */
  traits?: BedrockTraits;
}

/** Creates the call of a request. @throws ProviderError if Converse cannot take the request */
export function canonicalCall(
  asked: CanonicalRequest,
  { streaming, traits = {} }: ConverseOptions,
  listeners: Listeners,
): ModelCall {
  const { request, answerTool } = withAnswerTool(asked, traits);
  const streamed = streaming && !(request.tools?.length && traits.streamingTools === false);
  const collector = new AnswerCollector(listeners, answerTool);
  let { received } = collector;
  return {
    request: { operation: streamed ? "converse-stream" : "converse", body: converseBody(request, traits) },
    streamed,
    guardrail: request.guardrail !== undefined,
    addBody(body) {
      received = receivedAtOnce(body);
    },
    addEvent: (type, payload) => collector.add(type, payload),
    get isComplete() {
      return received.stopReason !== undefined;
    },
    answer: (requestId) => toAnswer(received, requestId, answerTool),
  };
}
