// When a provider says that a request has left: not before the operating system has taken all of it, and before the answer.
import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import type { Provider } from "../../src/providers/provider.ts";
import { ask, failureOf, providerFor } from "./fake-bedrock.ts";
import { openAiFor } from "./fake-openai.ts";

const providers: [name: string, open: (url: string) => Provider][] = [
  ["Bedrock", (url) => providerFor(url, {})],
  ["OpenAI", (url) => openAiFor(url, {})],
];

/** More than the buffers of two sockets hold. */
const text = "a".repeat(32 * 1024 * 1024);
const request = {
  messages: [{ role: "user" as const, content: [{ type: "text" as const, text }] }],
  parameters: { maxTokens: 1 },
};

test.each(providers)("%s: a request has left when the system has taken all of it", async (_name, open) => {
  const server = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const provider = open(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
  const events: string[] = [];
  const connection = once(server, "connection");
  const answer = failureOf(ask(provider, { request, onSent: () => events.push("sent") })).then(() =>
    events.push("answered"),
  );
  const [socket] = await connection;
  expect(events).toEqual([]);
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    if (bytes === 0) events.push("reading");
    bytes += chunk.length;
    if (bytes > text.length) socket.write("HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n");
  });
  socket.resume();
  await answer;
  expect(events).toEqual(["reading", "sent", "answered"]);
  await provider.close();
  socket.destroy();
  server.close();
  await once(server, "close");
});

test.each(providers)("%s: a request without a connection has not left", async (_name, open) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  const provider = open(`http://127.0.0.1:${port}`);
  const events: string[] = [];
  await failureOf(ask(provider, { onSent: () => events.push("sent") }));
  expect(events).toEqual([]);
  await provider.close();
});
