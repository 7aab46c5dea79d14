// Sends requests to Bedrock Runtime: one HTTP request per call, signed, with bounded answers. Knows operations, statuses
// and errors, and nothing of what the bodies mean.
import { Readable } from "node:stream";
import type { HttpRequest } from "@smithy/core/protocols";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { EventStreamReader, type StreamMessage } from "../../event-stream/event-stream-reader.ts";
import { tooLarge } from "../bounds.ts";
import { isAboutCredentials } from "./bedrock-failures.ts";
import { createSigner, type SignerOptions, type UnsignedRequest } from "./bedrock-signer.ts";
import { HtmlAnswer, ServiceError } from "./service-error.ts";

/** Operations that generate. */
export type Operation = "converse" | "converse-stream" | "invoke" | "invoke-with-response-stream";

/** A request to a model. */
export interface ModelRequest {
  operation: Operation;
  body: string;
  /** Headers by lower-case names, in addition to those of every request. */
  headers?: Record<string, string>;
}

/** The head of a successful response. */
export interface ModelResponse {
  /** Headers by lower-case names. */
  headers: Record<string, string>;
  requestId?: string;
  /** Reads the rest as one text. @throws ProviderError if it is too large */
  text(): Promise<string>;
  /** Reads the rest as an event stream. @throws ProviderError if a message is too large, MalformedStream */
  messages(): AsyncGenerator<StreamMessage>;
}

/** A connection to one model of Bedrock Runtime. */
export interface BedrockTransport {
  /**
   * Sends one request and resolves when the head of a successful response has arrived.
   * @param onSent called once the operating system has taken the whole request
   * @throws ServiceError, HtmlAnswer, CredentialsError, and errors of the connection
   */
  send(request: ModelRequest, signal: AbortSignal, onSent?: () => void): Promise<ModelResponse>;
  close(): void;
}

/** Options of a transport. */
export interface TransportOptions extends Omit<SignerOptions, "transport"> {
  modelId: string;
  /** Time until a connection is established, in milliseconds. */
  connectMs: number;
  maxSockets: number;
}

/** Maximum size of a body in one piece, in bytes. */
const maxBodyBytes = 64 * 1024 * 1024;
/** Maximum size of one message of an event stream, in bytes. The largest answer with every character escaped fits. */
const maxMessageBytes = 32 * 1024 * 1024;
/**
 * Time after which an idle connection is closed, in milliseconds. A request on a connection that the server has just
 * closed fails, and it is unknown whether the server received it. Servers on Node close idle connections after 5 s,
 * most others later.
 */
const keepIdleMs = 4_000;
/** Difference of clocks from which AWS's time is used, in milliseconds. AWS refuses signatures from this age on. */
const skewedMs = 5 * 60_000;

/** Creates a transport. */
export function createTransport({ modelId, connectMs, maxSockets, ...options }: TransportOptions): BedrockTransport {
  const agent = { keepAlive: true, maxSockets, timeout: keepIdleMs };
  const transport = new NodeHttpHandler({ connectionTimeout: connectMs, httpAgent: agent, httpsAgent: agent });
  const newSigner = () => createSigner({ ...options, transport });
  let sign = newSigner();
  /** How far AWS's clock is ahead of this machine's, in milliseconds, if they differ by minutes. */
  let aheadMs = 0;

  const adjustClock = (date: string | undefined) => {
    const difference = Date.parse(date ?? "") - Date.now();
    if (Math.abs(difference - aheadMs) >= skewedMs) aheadMs = difference;
  };

  return {
    async send({ operation, body, headers }, signal, onSent) {
      const request: UnsignedRequest = {
        path: `/model/${encodePath(modelId)}/${operation}`,
        headers: { "content-type": "application/json", ...headers },
        body: Buffer.from(body),
      };
      const signer = sign;
      try {
        const signed = await signer(request, Date.now() + aheadMs);
        if (onSent) signed.body = new SentBody(request.body, onSent);
        const response = await exchange(transport, signed, signal);
        adjustClock(response.headers.date);
        return await successful(response);
      } catch (error) {
        // A signer keeps the credentials that it found. They may have been renewed before the next call.
        if (signer === sign && isAboutCredentials(error)) sign = newSigner();
        throw error;
      }
    },
    close: () => transport.destroy(),
  };
}

/** A body that reports when all of it was sent. The library gives its request only to a stream that it pipes. */
class SentBody extends Readable {
  readonly #bytes: Buffer;
  readonly #onSent: () => void;

  constructor(bytes: Buffer, onSent: () => void) {
    super();
    this.#bytes = bytes;
    this.#onSent = onSent;
  }

  override pipe<T extends NodeJS.WritableStream>(request: T): T {
    request.once("finish", this.#onSent);
    request.end(this.#bytes);
    return request;
  }
}

/** Percent-encodes all but RFC 3986's unreserved characters, as the AWS SDKs do. */
function encodePath(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

interface Response {
  status: number;
  headers: Record<string, string>;
  body: Readable;
}

async function exchange(transport: NodeHttpHandler, request: HttpRequest, abortSignal: AbortSignal): Promise<Response> {
  const { response } = await transport.handle(request, { abortSignal });
  return { status: response.statusCode, headers: response.headers, body: response.body };
}

async function successful({ status, headers, body }: Response): Promise<ModelResponse> {
  if (headers["content-type"]?.includes("html")) {
    body.destroy();
    throw new HtmlAnswer(status);
  }
  if (status >= 300) throw ServiceError.ofResponse(status, headers, await readText(body));
  const requestId = headers["x-amzn-requestid"];
  return {
    headers,
    ...(requestId !== undefined && { requestId }),
    text: () => readText(body),
    messages: () => readMessages(body),
  };
}

async function readText(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

async function* readMessages(body: Readable): AsyncGenerator<StreamMessage> {
  const reader = new EventStreamReader((bytes) => {
    if (bytes > maxMessageBytes) throw tooLarge();
  });
  for await (const chunk of body as AsyncIterable<Buffer>) yield* reader.read(chunk);
  reader.end();
}
