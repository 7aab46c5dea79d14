// Calls any server that speaks OpenAI's Chat Completions (Ollama, vLLM, llama.cpp, OpenAI, Bedrock's own endpoint,
// ...): exactly one request per call, streamed or not.
import type { IncomingMessage } from "node:http";
import { type JsonTraits, withAnswerTool } from "../../domain/answer-tool.ts";
import type { Clock } from "../../domain/clock.ts";
import { type EmbeddingRequest, isEmbedding } from "../../domain/embedding-request.ts";
import { printJson } from "../../domain/json-text.ts";
import { isTooLarge, tooLarge } from "../bounds.ts";
import { type CallTimeouts, Deadlines, type Expired } from "../deadlines.ts";
import {
  type Provider,
  type ProviderCall,
  ProviderError,
  type ProviderFailure,
  requireCanonical,
} from "../provider.ts";
import { parseCompletion } from "./completion-json.ts";
import { isObject, nothingReceived, type Received, receive, toAnswer } from "./openai-answer.ts";
import { embeddingsBody, vectorsIn } from "./openai-embeddings.ts";
import { classify, readError, type Server } from "./openai-failures.ts";
import { createAgent, post } from "./openai-http.ts";
import { toChatCompletion } from "./openai-request.ts";
import { EventParser } from "./server-sent-events.ts";
import { classifyTransport, htmlAnswer } from "./transport-failures.ts";

/** Options of an OpenAI-compatible provider. */
export interface OpenAiOptions {
  /** Address with the version, such as http://127.0.0.1:11434/v1. `/chat/completions` is appended. */
  baseUrl: string;
  modelId: string;
  /** Key that is sent as a bearer token and never shown. */
  apiKey?: string;
  /** Environment variable of the key, for messages. */
  apiKeyEnv?: string;
  maxTokensField: "max_tokens" | "max_completion_tokens";
  /** Whether to stream. If not, the answer arrives in one piece. */
  streaming: boolean;
  timeouts: CallTimeouts;
  /** Maximum number of connections. Further calls wait for one and count as not connected meanwhile. */
  maxSockets: number;
  /** Alias to name when the server does not have this model. */
  alternative?: string;
  /**
   * How the model gives answers in JSON, and what it refuses, by the catalogue's names. Default: unknown, so the
   * request is sent as the caller made it.
   */
  traits?: JsonTraits & { refuses?: readonly string[]; pastReasoning?: string };
  clock: Clock;
}

/** Maximum size of an answer in one piece, in bytes. In a stream, only the answer itself is bounded. */
const maxBodyBytes = 64 * 1024 * 1024;
const maxErrorBytes = 64 * 1024;
/**
 * How long the server may take to end the response after the last event, in milliseconds. Otherwise the connection is
 * closed.
 */
const endMs = 100;

/** Creates a provider for one OpenAI-compatible deployment. */
export function createOpenAiProvider(options: OpenAiOptions): Provider {
  const { clock, timeouts } = options;
  const urlOf = (path: string) => new URL(`${options.baseUrl.replace(/\/+$/, "")}/${path}`);
  const url = urlOf("chat/completions");
  const embeddingsUrl = urlOf("embeddings");
  const server: Server = { ...options, host: url.host };
  const agent = createAgent(url, options.maxSockets);
  /** Whether to ask for usage in a stream. Set to false once the server refuses that. */
  let streamUsage = true;

  return {
    /**
     * Resolves only with a complete answer. If the server has marked the answer as complete, a later abort or error
     * does not discard it, because it has been paid for.
     */
    async call({ request: asked, signal, onText, onOutput, onSent, trace }) {
      if (signal.aborted) throw new ProviderError({ ...aborted, maybeBilled: false });
      const { request, answerTool } = withAnswerTool(requireCanonical(asked), options.traits ?? {});
      const embedding = isEmbedding(request) ? request : undefined;
      const streaming = options.streaming && !embedding;
      if (request.guardrail) throw new ProviderError(noGuardrail);
      const sentAt = clock.now();
      const deadlines = new Deadlines(timeouts, signal, streaming);
      const exchange: Exchange = { received: nothingReceived(), begun: false };
      try {
        const response = await post({
          url: embedding ? embeddingsUrl : url,
          headers: {
            accept: streaming ? "text/event-stream" : "application/json",
            ...trace,
            ...(options.apiKey !== undefined && { authorization: `Bearer ${options.apiKey}` }),
          },
          body: embedding
            ? embeddingsBody(embedding, options.modelId)
            : printJson(toChatCompletion(request, { ...options, ...options.traits, streamUsage })),
          agent,
          connectMs: timeouts.connectMs,
          signal: deadlines.signal,
          onSent,
        });
        await read(response, { exchange, deadlines, server, clock, onText, onOutput, answerTool, embedding });
      } catch (error) {
        if (exchange.received.finishReason === undefined || isTooLarge(error)) {
          const failure = failureOf(error, server, signal.aborted, deadlines.expired);
          if (streaming && streamUsage && refusesStreamUsage(failure)) {
            streamUsage = false;
            throw new ProviderError({ ...failure, ...nextTimeWithout });
          }
          const { requestId, received } = exchange;
          const known = { ...(requestId && { requestId }), ...(received.usage && { usage: received.usage }) };
          throw new ProviderError({ ...failure, ...known });
        }
      } finally {
        deadlines.stop();
      }
      const answer = toAnswer(exchange.received, exchange.requestId ?? exchange.received.id, answerTool);
      const { firstTokenAt, vectors } = exchange;
      if (vectors) return { ...answer, vectors };
      return firstTokenAt === undefined ? answer : { ...answer, firstTokenMs: firstTokenAt - sentAt };
    },

    async close() {
      agent.destroy();
    },
  };
}

/** Progress of a call. */
interface Exchange {
  received: Received;
  /** Whether any of the answer has arrived. */
  begun: boolean;
  requestId?: string;
  /** The vectors that were requested. */
  vectors?: string[];
  /** Time of the model's first output in a stream, on the caller's clock. */
  firstTokenAt?: number;
}

interface Reading {
  exchange: Exchange;
  deadlines: Deadlines;
  server: Server;
  clock: Clock;
  onText: ProviderCall["onText"];
  onOutput: ProviderCall["onOutput"];
  /** The tool whose arguments are the answer. */
  answerTool: string | undefined;
  /** The request, if it asks for vectors. */
  embedding: EmbeddingRequest | undefined;
}

/** Reads the response. @throws ProviderError for the server's errors, and whatever the connection throws */
async function read(response: IncomingMessage, reading: Reading): Promise<void> {
  const { exchange, server, clock } = reading;
  const { statusCode: status = 0, headers } = response;
  const requestId = headers["x-request-id"] ?? headers["x-amzn-requestid"];
  if (typeof requestId === "string") exchange.requestId = requestId.slice(0, 200);
  const type = headers["content-type"] ?? "";
  if (type.includes("html") && status !== 429) {
    response.destroy();
    throw new ProviderError(htmlAnswer(status, server.host));
  }
  if (status < 200 || status > 299) {
    const body = await readText(response, maxErrorBytes);
    const errorBody = type.includes("html") ? undefined : (parseCompletion(body.text) ?? body.text);
    const error = readError(errorBody, status, headers);
    throw new ProviderError(classify(error, server, false, clock.wall()));
  }
  // A server that cannot stream answers in one piece, even if a stream was requested.
  if (type.includes("json")) await readAtOnce(response, reading);
  else await readStream(response, reading);
}

async function readAtOnce(response: IncomingMessage, { exchange, server, clock, embedding }: Reading): Promise<void> {
  const { text, complete } = await readText(response, maxBodyBytes);
  if (!complete) throw tooLarge();
  const body = parseCompletion(text);
  if (!isObject(body)) throw new ProviderError(notOurProtocol(server, true));
  // Some servers, such as OpenRouter, answer errors with HTTP 200.
  if (body.error) throw errorInAnswer(body, response, server, false, clock);
  if (embedding) {
    if (!Array.isArray(body.data)) throw new ProviderError(notOurProtocol(server, false));
    exchange.vectors = vectorsIn(text, body.data, embedding);
    const usage = isObject(body.usage) && { usage: { completion_tokens: 0, ...body.usage } };
    const choices = [{ message: { content: "" }, finish_reason: "stop" }];
    receive(exchange.received, { id: body.id, ...usage, choices });
    return;
  }
  if (!Array.isArray(body.choices)) throw new ProviderError(notOurProtocol(server, false));
  if (body.choices.length === 0) throw new ProviderError(notOurProtocol(server, true));
  receive(exchange.received, body);
  exchange.received.finishReason ??= "stop";
}

async function readStream(response: IncomingMessage, reading: Reading): Promise<void> {
  const { exchange, deadlines, server, clock, onText, onOutput, answerTool } = reading;
  const parser = new EventParser();
  const take = ({ event, data }: { event?: string; data: string }): boolean => {
    if (data.trim() === "[DONE]") return true;
    const chunk = parseCompletion(data);
    if (!isObject(chunk)) throw new ProviderError(brokenEvent(server));
    if (chunk.error || event === "error") throw errorInAnswer(chunk, response, server, exchange.begun, clock);
    exchange.begun = true;
    const { text, output, produced } = receive(exchange.received, chunk, answerTool);
    if (output !== "") onOutput?.(output);
    if (produced) exchange.firstTokenAt ??= clock.now();
    if (text !== "" && !deadlines.signal.aborted) onText?.(text);
    return false;
  };
  try {
    for await (const bytes of response.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      deadlines.onEvent();
      if (parser.push(bytes).some(take)) return letEnd(response);
    }
  } catch (error) {
    response.destroy();
    throw error;
  }
  for (const event of parser.end()) {
    // If a server closes the connection in good order in the middle of an answer, the stream ends with half an event.
    if (event.data.trim() !== "[DONE]" && parseCompletion(event.data) === undefined) return;
    if (take(event)) return;
  }
}

/** Waits briefly for the end of the response, so that its connection can be used again. */
async function letEnd(response: IncomingMessage): Promise<void> {
  if (response.closed) return;
  response.on("error", () => {});
  response.resume();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, endMs);
  });
  await Promise.race([new Promise((resolve) => response.once("close", resolve)), late]);
  clearTimeout(timer);
  response.destroy();
}

/** Returns the body up to a length. `complete` is false if the body is longer. */
async function readText(response: IncomingMessage, maxBytes: number): Promise<{ text: string; complete: boolean }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    // Leaving the loop closes the connection.
    if (bytes > maxBytes) break;
  }
  return { text: Buffer.concat(chunks).subarray(0, maxBytes).toString(), complete: bytes <= maxBytes };
}

// ---------------------------------------------------------------- failures

const aborted = { kind: "aborted", code: "cancelled", message: "The call was aborted." } as const;

const noGuardrail: ProviderFailure = {
  kind: "permanent",
  code: "provider_rejected",
  message: "The job names a guardrail, which only deployments with provider: bedrock can apply.",
  maybeBilled: false,
};

function failureOf(thrown: unknown, { host }: Server, wasAborted: boolean, expired?: Expired): ProviderFailure {
  if (wasAborted) return { ...aborted, maybeBilled: true };
  if (expired) {
    const message = timeoutMessages[expired.limit](host, expired.afterMs / 1000);
    return { kind: "transient", code: "unknown_end", message, maybeBilled: true };
  }
  return thrown instanceof ProviderError ? thrown.failure : classifyTransport(thrown, host);
}

const timeoutMessages: Record<Expired["limit"], (host: string, seconds: number) => string> = {
  firstByte: (host, s) => `${host} sent nothing within ${s} s of the request (timeouts.firstByteMs).`,
  idle: (host, s) => `${host} sent nothing for ${s} s before its answer was complete (timeouts.idleMs).`,
  total: (_, s) => `The answer was not complete ${s} s after the request (timeouts.totalMs).`,
};

function errorInAnswer(
  body: unknown,
  { headers }: IncomingMessage,
  server: Server,
  begun: boolean,
  clock: Clock,
): ProviderError {
  return new ProviderError(classify(readError(body, undefined, headers), server, begun, clock.wall()));
}

function brokenEvent({ host }: Server): ProviderFailure {
  const message = `${host} sent an invalid event in the middle of an answer.`;
  return { kind: "transient", code: "malformed_output", message, maybeBilled: true };
}

/**
 * Creates the failure for a response in another format.
 * @param cut whether it may be the beginning of an answer
 */
function notOurProtocol({ host }: Server, cut: boolean): ProviderFailure {
  return cut
    ? {
        kind: "transient",
        code: "unknown_end",
        message: `The answer of ${host} was cut off or is not in OpenAI's format.`,
        maybeBilled: true,
      }
    : {
        // One odd response does not stop a model. If other jobs are answered, the cause is this job.
        kind: "unclear",
        code: "model_unavailable",
        message: `${host} answered with JSON that is not a chat completion.`,
        advice: "Check baseUrl, which usually ends in /v1.",
        maybeBilled: false,
      };
}

function refusesStreamUsage({ kind, message }: ProviderFailure): boolean {
  return kind === "permanent" && /stream_options|include_usage/.test(message);
}

/** The job is not at fault and nothing requires a wait, so it keeps its place and is called again at once. */
const nextTimeWithout = {
  kind: "capacity",
  code: "model_unavailable",
  message: "The server does not accept stream_options. Further calls omit it, so their usage may be unknown.",
  retryAfterMs: 0,
} as const;
