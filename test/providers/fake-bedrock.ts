// A fake Bedrock server for the provider's tests. It answers each request as the test specifies, byte by byte if
// needed.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { crc32 } from "node:zlib";
import { createBedrockProvider } from "../../src/providers/bedrock/bedrock-provider.ts";
import { type Provider, type ProviderCall, ProviderError, type ProviderFailure } from "../../src/providers/provider.ts";

export interface FakeBedrock {
  url: string;
  /** Requests in order of arrival. */
  requests: { path: string; body: unknown }[];
  /** Bodies as they arrived. */
  texts: string[];
  /** Sets the answer to further requests. */
  respond: (handler: Handler) => void;
  close(): Promise<void>;
}

export type Handler = (res: ServerResponse, req: IncomingMessage) => void;

export async function startFakeBedrock(): Promise<FakeBedrock> {
  let handler: Handler = (res) => res.destroy();
  const requests: FakeBedrock["requests"] = [];
  const texts: string[] = [];
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    requests.push({ path: req.url ?? "", body: JSON.parse(text) });
    texts.push(text);
    handler(res, req);
  });
  // A busy machine may pause longer than Node's 5 s between two calls. Closing the connection then would reset the second.
  server.keepAliveTimeout = 600_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    texts,
    respond: (next) => {
      handler = next;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

// ---------------------------------------------------------------- what it may answer

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Handler {
  return (res) =>
    res
      .writeHead(status, { "content-type": "application/json", "x-amzn-requestid": "r-1", ...headers })
      .end(JSON.stringify(body));
}

/** Streams these frames, then calls `end`, which by default ends the stream in good order. */
export function stream(frames: Buffer[], end: (res: ServerResponse) => void = (res) => res.end()): Handler {
  return (res) => {
    res.writeHead(200, { "content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "r-1" });
    res.flushHeaders();
    if (frames.length === 0) end(res);
    else res.write(Buffer.concat(frames), () => end(res));
  };
}

/** Leaves the stream open and silent. */
export function stall(): void {}

export function event(type: string, payload: unknown): Buffer {
  return frame({ ":message-type": "event", ":event-type": type, ":content-type": "application/json" }, payload);
}

export function exception(type: string, message: string): Buffer {
  return frame(
    { ":message-type": "exception", ":exception-type": type, ":content-type": "application/json" },
    { message },
  );
}

/** An event with a JSON payload, or with a value that is printed as JSON. */
export function frame(headers: Record<string, string>, payload: unknown): Buffer {
  const encodedHeaders = Buffer.concat(
    Object.entries(headers).map(([name, value]) =>
      Buffer.concat([Buffer.of(name.length), Buffer.from(name), Buffer.of(7, 0, value.length), Buffer.from(value)]),
    ),
  );
  const body = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload));
  const lengths = u32(16 + encodedHeaders.length + body.length, encodedHeaders.length);
  const checked = Buffer.concat([lengths, u32(crc32(lengths)), encodedHeaders, body]);
  return Buffer.concat([checked, u32(crc32(checked))]);
}

function u32(...values: number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) buffer.writeUInt32BE(value, 4 * i);
  return buffer;
}

export const start = event("messageStart", { role: "assistant" });
export const text = (piece: string) => event("contentBlockDelta", { contentBlockIndex: 0, delta: { text: piece } });
export const stop = (stopReason: string) => event("messageStop", { stopReason });
export const usage = event("metadata", {
  usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10 },
  metrics: { latencyMs: 5 },
});
export const wholeAnswer = [start, text("Hel"), text("lo"), stop("end_turn"), usage];

// ---------------------------------------------------------------- the provider under test

export type ProviderOptions = Parameters<typeof createBedrockProvider>[0];

export function providerFor(endpoint: string, options: Partial<ProviderOptions> = {}): Provider {
  return createBedrockProvider({
    region: "us-east-1",
    modelId: "us.meta.llama3-3-70b-instruct-v1:0",
    endpoint,
    streaming: true,
    timeouts: { connectMs: 20_000, firstByteMs: 20_000, idleMs: 20_000, totalMs: 20_000 },
    credentials: { accessKeyId: "AKIAEXAMPLEEXAMPLE12", secretAccessKey: "secret-in-no-message" },
    maxSockets: 10,
    clock: { now: () => performance.now() },
    ...options,
  });
}

export function ask(provider: Provider, call: Partial<ProviderCall> = {}) {
  return provider.call({
    request: {
      messages: [{ role: "user", content: [{ type: "text", text: "Hello?" }] }],
      parameters: { maxTokens: 100 },
    },
    signal: new AbortController().signal,
    ...call,
  });
}

export async function failureOf(answer: Promise<unknown>): Promise<ProviderFailure> {
  const error = await answer.then(
    () => new Error("the call succeeded"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ProviderError)) throw error;
  return error.failure;
}
