// Calls Amazon Bedrock through the AWS SDK: Converse or ConverseStream, exactly one request per call.
import {
  BedrockRuntimeClient,
  type BedrockRuntimeClientConfig,
  ConverseCommand,
  ConverseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { withAnswerTool } from "../../domain/answer-tool.ts";
import type { Clock } from "../../domain/clock.ts";
import { JsonTexts } from "../../domain/json-text.ts";
import { isTooLarge, nestedTooDeeply } from "../bounds.ts";
import { type CallTimeouts, Deadlines, type Expired } from "../deadlines.ts";
import { type Provider, ProviderError, type ProviderFailure, requireCanonical } from "../provider.ts";
import { AnswerCollector, type Received, receivedAtOnce, toAnswer } from "./bedrock-answer.ts";
import { type Account, credentialsFor } from "./bedrock-credentials.ts";
import { classify, HtmlAnswer, isAboutCredentials } from "./bedrock-failures.ts";
import { type BedrockTraits, toConverse } from "./bedrock-request.ts";
import { boundedBody } from "./body-limits.ts";
import { insertTexts, keepBody } from "./exact-bodies.ts";

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

/**
 * Time after which an idle connection is closed, in milliseconds. A request on a connection that the server has just
 * closed fails, and it is unknown whether the server received it. Servers on Node close idle connections after 5 s,
 * most others later.
 */
const keepIdleMs = 4_000;

/** Creates a provider for one Bedrock deployment. */
export function createBedrockProvider(options: BedrockOptions): Provider {
  const { clock, modelId, timeouts, traits = {} } = options;
  // All clients share it, because connections do not depend on credentials.
  const transport = newTransport(options);
  let client = newClient(options, transport);

  return {
    /**
     * Resolves only with a complete answer. If the provider has marked the answer as complete, a later abort or error
     * does not discard it, because it has been paid for.
     */
    async call({ request: asked, signal, onText, onOutput }) {
      if (signal.aborted) throw new ProviderError({ ...aborted, maybeBilled: false });
      const { request, answerTool } = withAnswerTool(requireCanonical(asked), traits);
      const sentAt = clock.now();
      const streaming = options.streaming && !(request.tools?.length && traits.streamingTools === false);
      const deadlines = new Deadlines(timeouts, signal, streaming);
      const collector = new AnswerCollector(
        clock.now,
        {
          onText(text) {
            if (!deadlines.signal.aborted) onText?.(text);
          },
          ...(onOutput && { onOutput }),
        },
        answerTool,
      );
      const exchange: Exchange = {
        begun: false,
        received: collector.received,
        guardrail: request.guardrail !== undefined,
      };
      const signer = client;
      try {
        const texts = new JsonTexts();
        const input = toConverse(modelId, request, traits, texts);
        const command = streaming ? new ConverseStreamCommand(input) : new ConverseCommand(input);
        insertTexts(command, texts);
        const run =
          command instanceof ConverseStreamCommand
            ? readStream(signer, command, deadlines, collector, exchange)
            : readAtOnce(signer, command, deadlines, exchange);
        // The SDK ignores the signal in some places. Finding credentials, for example, may take long.
        await Promise.race([run, whenAborted(deadlines.signal)]);
      } catch (error) {
        if (exchange.received.stopReason === undefined || isTooLarge(error)) {
          // A client keeps the credentials that it found. They may have been renewed before the next call.
          if (signer === client && isAboutCredentials(error)) client = newClient(options, transport);
          // The SDK's error must not become the cause: it contains the request, signature included.
          throw new ProviderError(failureOf(error, options, signal.aborted, deadlines.expired, exchange));
        }
      } finally {
        deadlines.stop();
      }
      const answer = toAnswer(exchange.received, exchange.requestId, answerTool);
      const { firstTokenAt } = collector;
      return firstTokenAt === undefined ? answer : { ...answer, firstTokenMs: firstTokenAt - sentAt };
    },

    async close() {
      transport.destroy();
    },
  };
}

/** Progress of a call. */
interface Exchange {
  /** Whether any of the answer has arrived. */
  begun: boolean;
  guardrail: boolean;
  received: Received;
  requestId?: string;
}

async function readStream(
  client: BedrockRuntimeClient,
  command: ConverseStreamCommand,
  deadlines: Deadlines,
  collector: AnswerCollector,
  exchange: Exchange,
): Promise<void> {
  const response = await client.send(command, { abortSignal: deadlines.signal });
  exchange.requestId = response.$metadata.requestId;
  for await (const event of response.stream ?? []) {
    exchange.begun = true;
    deadlines.onEvent();
    collector.add(event);
  }
}

async function readAtOnce(
  client: BedrockRuntimeClient,
  command: ConverseCommand,
  deadlines: Deadlines,
  exchange: Exchange,
): Promise<void> {
  const body = keepBody(command);
  const response = await client.send(command, { abortSignal: deadlines.signal });
  exchange.requestId = response.$metadata.requestId;
  exchange.received = receivedAtOnce(response, body());
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
  // The SDK parses an answer recursively.
  if (error instanceof RangeError) return { ...known, ...nestedTooDeeply().failure };
  return { ...known, ...classify(error, options, sent) };
}

const timeoutMessages: Record<Expired["limit"], (seconds: number) => string> = {
  firstByte: (s) => `Bedrock sent nothing within ${s} s of the request (timeouts.firstByteMs).`,
  idle: (s) => `Bedrock sent nothing for ${s} s before its answer was complete (timeouts.idleMs).`,
  total: (s) => `The answer was not complete ${s} s after the request (timeouts.totalMs).`,
};

/**
 * Creates the transport. The client's own default opens one HTTP/2 session, TLS included, per request, and has no
 * timeouts.
 */
function newTransport({ maxSockets, timeouts }: BedrockOptions): NodeHttpHandler {
  const agent = { keepAlive: true, maxSockets, timeout: keepIdleMs };
  return new BoundedHandler({ connectionTimeout: timeouts.connectMs, httpAgent: agent, httpsAgent: agent });
}

/** Bounds every body before any middleware reads it. */
class BoundedHandler extends NodeHttpHandler {
  override async handle(...call: Parameters<NodeHttpHandler["handle"]>): ReturnType<NodeHttpHandler["handle"]> {
    const { response } = await super.handle(...call);
    response.body = boundedBody(response.body, response.headers["content-type"] ?? "");
    return { response };
  }
}

function newClient(
  { region, endpoint, account, credentials }: BedrockOptions,
  transport: NodeHttpHandler,
): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? credentialsFor(account) : { credentials }),
    // One request per call, so that the record and the charges match what was sent.
    maxAttempts: 1,
    requestHandler: transport,
  });
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { statusCode, headers, body } = result.response as RawResponse;
      if (!headers["content-type"]?.includes("html")) return result;
      body?.destroy?.();
      throw new HtmlAnswer(statusCode);
    },
    { step: "deserialize", priority: "low", name: "refuseHtml" },
  );
  return client;
}

/** The part of a transport response that is used here. */
interface RawResponse {
  statusCode: number;
  headers: Record<string, string | undefined>;
  body?: { destroy?: () => void };
}
