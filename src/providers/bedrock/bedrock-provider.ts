// Amazon Bedrock through the AWS SDK: Converse or ConverseStream, exactly one request per call.
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
import { type Provider, ProviderError, type ProviderFailure } from "../provider.ts";
import { AnswerCollector, type Received, receivedAtOnce, toAnswer } from "./bedrock-answer.ts";
import { type Account, credentialsFor } from "./bedrock-credentials.ts";
import { classify, HtmlAnswer, isAboutCredentials } from "./bedrock-failures.ts";
import { type BedrockTraits, toConverse } from "./bedrock-request.ts";
import { boundedBody } from "./body-limits.ts";
import { insertTexts, keepBody } from "./exact-bodies.ts";

export interface BedrockOptions {
  region: string;
  /** A model's ID or an inference profile's ID or ARN. */
  modelId: string;
  /** In place of Bedrock's own address, or of the one in AWS_ENDPOINT_URL_BEDROCK_RUNTIME. */
  endpoint?: string;
  /** Whether the model can stream; if not, the answer comes in one piece. */
  streaming: boolean;
  /** What else is known of the model. Default: nothing. */
  traits?: BedrockTraits;
  timeouts: CallTimeouts;
  /** Whose credentials sign. By default those that the SDK finds by itself. */
  account?: Account;
  /** In place of the account's. */
  credentials?: BedrockRuntimeClientConfig["credentials"];
  /** Connections at a time. Calls beyond that wait for one, and count as not connected meanwhile. */
  maxSockets: number;
  /** An alias to name when the provider refuses this model because it is Legacy or not accessible. */
  alternative?: string;
  clock: Pick<Clock, "now">;
}

/**
 * Idle connections are closed after this long, in ms: a request on one that the other side has just closed fails without
 * anybody knowing whether it was received. Servers on Node close theirs after 5 s, most others later.
 */
const keepIdleMs = 4_000;

export function createBedrockProvider(options: BedrockOptions): Provider {
  const { clock, modelId, timeouts, traits = {} } = options;
  // One for all clients, because connections know nothing of credentials.
  const transport = newTransport(options);
  let client = newClient(options, transport);

  return {
    /**
     * Resolves only with a complete answer. An abort, or an error of any kind, after the provider said that the answer
     * is complete does not lose it: it has been paid for.
     */
    async call({ request: asked, signal, onText, onOutput }) {
      if (signal.aborted) throw new ProviderError({ ...aborted, maybeBilled: false });
      const { request, answerTool } = withAnswerTool(asked, traits);
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
        // The SDK does not look at the signal in all that it does; finding credentials, for one, may take long.
        await Promise.race([run, whenAborted(deadlines.signal)]);
      } catch (error) {
        if (exchange.received.stopReason === undefined || isTooLarge(error)) {
          // A client keeps the credentials that it has found. They may be renewed before the next call.
          if (signer === client && isAboutCredentials(error)) client = newClient(options, transport);
          // Without the SDK's error as a cause: it holds the request, signature included.
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

/** How far a call has come. */
interface Exchange {
  /** Whether any of the answer has come. */
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
  // The SDK parses an answer with recursion.
  if (error instanceof RangeError) return { ...known, ...nestedTooDeeply().failure };
  return { ...known, ...classify(error, options, sent) };
}

const timeoutMessages: Record<Expired["limit"], (seconds: number) => string> = {
  firstByte: (s) => `Bedrock sent nothing within ${s} s of the request (timeouts.firstByteMs).`,
  idle: (s) => `Bedrock sent nothing for ${s} s before its answer was complete (timeouts.idleMs).`,
  total: (s) => `The answer was not complete ${s} s after the request (timeouts.totalMs).`,
};

/** The client's own default opens one HTTP/2 session, TLS included, per request, and has no time limits. */
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
    // One request per call: what is on record and charged is what was sent.
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

/** What the transport hands over, of what is used here. */
interface RawResponse {
  statusCode: number;
  headers: Record<string, string | undefined>;
  body?: { destroy?: () => void };
}
