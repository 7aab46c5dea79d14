// Calls Amazon Bedrock, exactly one request per call: canonical requests through Converse or ConverseStream, and native
// requests as they are.
import type { BedrockRuntimeClientConfig } from "@aws-sdk/client-bedrock-runtime";
import type { Clock } from "../../domain/clock.ts";
import { isEmbedding } from "../../domain/embedding-request.ts";
import { isNative } from "../../domain/request.ts";
import { isTooLarge } from "../bounds.ts";
import { type CallTimeouts, Deadlines, type Expired } from "../deadlines.ts";
import { type Provider, ProviderError, type ProviderFailure } from "../provider.ts";
import { type Account, credentialsFor } from "./bedrock-credentials.ts";
import { classify } from "./bedrock-failures.ts";
import type { BedrockTraits } from "./bedrock-request.ts";
import { type BedrockTransport, createTransport } from "./bedrock-transport.ts";
import { canonicalCall } from "./canonical-call.ts";
import { embeddingCall } from "./embedding-call.ts";
import type { Listeners, ModelCall } from "./model-call.ts";
import { nativeCall } from "./native-call.ts";
import { ServiceError } from "./service-error.ts";

/** Options of a Bedrock provider. */
export interface BedrockOptions {
  region: string;
  /** ID of a model, or ID or ARN of an inference profile. */
  modelId: string;
  /** Address that replaces Bedrock's own and the one in AWS_ENDPOINT_URL_BEDROCK_RUNTIME. */
  endpoint?: string;
  /** Whether the model can stream. If not, the answer arrives in one piece. */
  streaming: boolean;
  /** What else is known about the model. Default: nothing. */
  traits?: BedrockTraits;
  timeouts: CallTimeouts;
  /** Account whose credentials sign. Default: the credentials that the SDK finds by itself. */
  account?: Account;
  /** Credentials that replace the account's. */
  credentials?: BedrockRuntimeClientConfig["credentials"];
  /** Maximum number of connections. Further calls wait for one and count as not connected meanwhile. */
  maxSockets: number;
  /** Alias to name when the provider refuses this model because it is Legacy or not accessible. */
  alternative?: string;
  clock: Pick<Clock, "now">;
}

/** Creates a provider for one Bedrock deployment. */
export function createBedrockProvider(options: BedrockOptions): Provider {
  const { clock, timeouts, account, credentials } = options;
  const transport = createTransport({
    region: options.region,
    modelId: options.modelId,
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(credentials === undefined ? credentialsFor(account) : { credentials }),
    connectMs: timeouts.connectMs,
    maxSockets: options.maxSockets,
  });

  return {
    /**
     * Resolves only with a complete answer. If the provider has marked the answer as complete, a later abort or error
     * does not discard it, because it has been paid for.
     */
    async call({ request, signal, maxAnswerBytes, onText, onOutput, onSent }) {
      if (signal.aborted) throw new ProviderError({ ...aborted, maybeBilled: false });
      const sentAt = clock.now();
      let firstTokenAt: number | undefined;
      const listeners: Listeners = {
        onText(text) {
          if (!deadlines.signal.aborted) onText?.(text);
        },
        onOutput(piece) {
          onOutput?.(piece);
        },
        onDelta() {
          firstTokenAt ??= clock.now();
        },
      };
      const call = isNative(request)
        ? nativeCall(request, listeners, maxAnswerBytes)
        : isEmbedding(request)
          ? embeddingCall(request, options.traits?.embeddings, listeners, maxAnswerBytes)
          : canonicalCall(request, options, listeners);
      const deadlines = new Deadlines(timeouts, signal, call.streamed);
      const exchange: Exchange = { begun: false, guardrail: call.guardrail };
      try {
        // Finding credentials may take long and does not end by the signal.
        await Promise.race([run(transport, call, deadlines, exchange, onSent), whenAborted(deadlines.signal)]);
      } catch (error) {
        if (!call.isComplete || isTooLarge(error)) {
          throw new ProviderError(failureOf(error, options, signal.aborted, deadlines.expired, exchange));
        }
      } finally {
        deadlines.stop();
      }
      const answer = call.answer(exchange.requestId);
      return firstTokenAt === undefined ? answer : { ...answer, firstTokenMs: firstTokenAt - sentAt };
    },

    async close() {
      transport.close();
    },
  };
}

/** Progress of a call. */
interface Exchange {
  /** Whether any of the answer has arrived. */
  begun: boolean;
  guardrail: boolean;
  requestId?: string | undefined;
}

async function run(
  transport: BedrockTransport,
  call: ModelCall,
  deadlines: Deadlines,
  exchange: Exchange,
  onSent?: () => void,
): Promise<void> {
  const response = await transport.send(call.request, deadlines.signal, onSent);
  exchange.requestId = response.requestId;
  call.addHeaders?.(response.headers);
  if (!call.streamed) {
    call.addBody(await response.text());
    return;
  }
  for await (const message of response.messages()) {
    deadlines.onEvent();
    if (message.kind !== "event") throw ServiceError.ofStream(message);
    if (call.addEvent(message.type, message.payload)) exchange.begun = true;
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
  });
}

const aborted = { kind: "aborted", code: "cancelled", message: "The call was aborted." } as const;

function failureOf(
  error: unknown,
  options: BedrockOptions,
  wasAborted: boolean,
  expired: Expired | undefined,
  { requestId, ...sent }: Exchange,
): ProviderFailure {
  const known = requestId === undefined ? {} : { requestId };
  if (wasAborted) return { ...known, ...aborted, maybeBilled: true };
  if (expired) {
    const message = timeoutMessages[expired.limit](expired.afterMs / 1000);
    return { ...known, kind: "transient", code: "unknown_end", message, maybeBilled: true };
  }
  if (error instanceof ProviderError) return { ...known, ...error.failure };
  return { ...known, ...classify(error, options, sent) };
}

const timeoutMessages: Record<Expired["limit"], (seconds: number) => string> = {
  firstByte: (s) => `Bedrock sent nothing within ${s} s of the request (timeouts.firstByteMs).`,
  idle: (s) => `Bedrock sent nothing for ${s} s before its answer was complete (timeouts.idleMs).`,
  total: (s) => `The answer was not complete ${s} s after the request (timeouts.totalMs).`,
};
