// A fake OpenAI-compatible server for the provider's tests. It answers each request as the test specifies, byte by byte
// if needed.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createOpenAiProvider, type OpenAiOptions } from "../../src/providers/openai/openai-provider.ts";
import type { Provider } from "../../src/providers/provider.ts";

export interface FakeOpenAi {
  /** Base URL, with the version. */
  url: string;
  /** Requests in order of arrival. */
  requests: { path: string; headers: IncomingHttpHeaders; body: Record<string, unknown>; port: number }[];
  /** Bodies as they arrived. */
  texts: string[];
  /** Sets the answer to further requests. */
  respond: (handler: Handler) => void;
  close(): Promise<void>;
}

export type Handler = (res: ServerResponse) => void;

export async function startFakeOpenAi(): Promise<FakeOpenAi> {
  let handler: Handler = (res) => res.destroy();
  const requests: FakeOpenAi["requests"] = [];
  const texts: string[] = [];
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const body = JSON.parse(text);
    requests.push({ path: req.url ?? "", headers: req.headers, body, port: req.socket.remotePort ?? 0 });
    texts.push(text);
    handler(res);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
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
  return (res) => res.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** Answers with an error in OpenAI's format. */
export function refusal(status: number, error: Record<string, unknown>, headers: Record<string, string> = {}): Handler {
  return json(status, { error: { type: "invalid_request_error", param: null, code: null, ...error } }, headers);
}

export function plain(status: number, type: string, body: string, headers: Record<string, string> = {}): Handler {
  return (res) => res.writeHead(status, { "content-type": type, ...headers }).end(body);
}

/**
 * Streams these bytes, one by one if there are many, then calls `end`, which by default ends the stream in good order.
 */
export function bytes(pieces: (string | Buffer)[], end: (res: ServerResponse) => void = (res) => res.end()): Handler {
  return (res) => {
    res.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "x-request-id": "r-1" });
    res.flushHeaders();
    const next = (i: number): unknown => (i < pieces.length ? res.write(pieces[i], () => next(i + 1)) : end(res));
    next(0);
  };
}

/** Streams whole events. A string is sent verbatim. */
export function stream(events: unknown[], end?: (res: ServerResponse) => void): Handler {
  return bytes([events.map(event).join("")], end);
}

export function event(data: unknown): string {
  return `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}

export const done = "[DONE]";
export const chunk = (delta: unknown, finish: string | null = null) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta, finish_reason: finish }],
});
export const text = (content: string) => chunk({ content });
export const stop = (reason = "stop") => chunk({}, reason);
export const usage = { choices: [], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } };
export const wholeAnswer = [chunk({ role: "assistant", content: "" }), text("Hel"), text("lo"), stop(), usage, done];

export function completion(message: unknown, finish: string | null = "stop", more: Record<string, unknown> = {}) {
  return json(200, { id: "chatcmpl-1", choices: [{ index: 0, message, finish_reason: finish }], ...more });
}

// ---------------------------------------------------------------- the provider under test

/** A key of a form that no pattern recognizes. */
export const key = "test-key-in-no-message";

export function openAiFor(baseUrl: string, options: Partial<OpenAiOptions> = {}): Provider {
  return createOpenAiProvider({
    baseUrl,
    modelId: "llama3.3",
    apiKey: key,
    apiKeyEnv: "MY_KEY",
    maxTokensField: "max_tokens",
    streaming: true,
    timeouts: { connectMs: 20_000, firstByteMs: 20_000, idleMs: 20_000, totalMs: 20_000 },
    maxSockets: 10,
    clock: { now: () => performance.now(), wall: () => Date.now() },
    ...options,
  });
}
