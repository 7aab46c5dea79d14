// With `texts: none`, nothing that was asked or answered is left in the data folder after it was read: every byte of
// every file is searched while the service runs.

import { readdir, readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { canonicalPart } from "../../src/domain/request.ts";
import type { Provider } from "../../src/providers/provider.ts";
import {
  createBatch,
  lineOf,
  shouting,
  startTestService,
  type TestService,
  untilStatus,
  upload,
} from "../batches/support.ts";
import { startReceiver } from "../webhooks/receiver.ts";

/** Answers with a text that no socket buffers, if it is asked for one. */
const muchWanted = "Give much";
const longWord = "LONGANSWER ";
const longWords = 350_000;
const provider: Provider = {
  ...shouting,
  async call(call) {
    const answer = await shouting.call(call);
    return canonicalPart(call.request).system === muchWanted ? { ...answer, text: longWord.repeat(longWords) } : answer;
  },
};

let service: TestService;
beforeAll(async () => {
  service = await startTestService("embedded", {
    provider,
    file: {
      retention: { tenants: { default: { texts: "none" } } },
      webhooks: { allowPrivateNetworks: ["127.0.0.0/8"] },
    },
  });
});
afterAll(() => service?.close());

/** Returns whether a file of the data folder contains the word, in capitals or not. */
async function isFound(word: string): Promise<boolean> {
  const { dataDir } = service.settings;
  const names = await readdir(dataDir, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files) {
    const bytes = await readFile(file).catch(() => Buffer.alloc(0));
    if (bytes.includes(word) || bytes.includes(word.toUpperCase())) return true;
  }
  return false;
}

async function post(path: string, body: object): Promise<Record<string, string>> {
  const answer = await fetch(service.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Record<string, string>;
}

async function ended(id: string): Promise<void> {
  await vi.waitFor(async () => {
    const page = await fetch(`${service.url}/v1/jobs?status=completed&limit=100`);
    const { data } = (await page.json()) as { data: { job_id: string }[] };
    expect(data.map(({ job_id }) => job_id)).toContain(id);
  }, 20_000);
}

/** A prompt that fills pages of its own, and everything else that can hold words. */
const planted = (word: string) => ({
  system: `${word} system`,
  messages: [{ role: "user", content: `${word} prompt `.repeat(2_000) }],
  metadata: { label: `${word}label` },
  environment: "UAT",
});

test("a job's prompt, answer and labels are gone after the first complete read, and not before", async () => {
  const { job_id: id } = await post("/v1/jobs", planted("plantedjob"));
  await ended(id!);
  expect(await isFound("plantedjob")).toBe(true);
  await fetch(`${service.url}/v1/jobs/${id}`, { method: "HEAD" });
  expect(await isFound("plantedjob")).toBe(true);
  const read = await (await fetch(`${service.url}/v1/jobs/${id}`)).json();
  expect(read).toMatchObject({ text: expect.stringContaining("PLANTEDJOB PROMPT") });
  await vi.waitFor(async () => {
    const again = await (await fetch(`${service.url}/status/${id}`)).json();
    expect(again).toMatchObject({ status: "completed", text: "", metadata: null, usage: expect.anything() });
  });
});

test("a read that breaks off leaves the answer for the next one", async () => {
  const { job_id: id } = await post("/v1/jobs", { ...planted("brokenread"), system: muchWanted });
  await ended(id!);
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /v1/jobs/${id} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.resetAndDestroy();
  await closed;
  const read = (await (await fetch(`${service.url}/v1/jobs/${id}`)).json()) as { text: string };
  expect(read.text).toHaveLength(longWord.length * longWords);
});

test("chats, streams and responses are gone once they are answered", async () => {
  const model = "llama3-3-70b";
  const messages = [{ role: "user" as const, content: "plantedchat ".repeat(2_000) }];
  const { client } = service;
  const chat = await client.chat.completions.create({ model, messages });
  expect(chat.choices[0]!.message.content).toContain("PLANTEDCHAT");
  const streamed = await client.chat.completions.create({ model, messages, stream: true });
  let text = "";
  for await (const chunk of streamed) text += chunk.choices[0]?.delta.content ?? "";
  expect(text).toContain("PLANTEDCHAT");
  const response = await client.responses.create({ model, input: "plantedchat ".repeat(2_000) });
  expect(response.output_text).toContain("PLANTEDCHAT");
});

test("the event stream of a job counts as a read", async () => {
  const { job_id: id } = await post("/v1/jobs", planted("plantedevents"));
  const events = await (await fetch(`${service.url}/v1/jobs/${id}/events`)).text();
  expect(events).toContain("PLANTEDEVENTS");
});

test("a batch is gone once all of its results were downloaded", async () => {
  const lines = ["a", "b"].map((name) => lineOf(`${name}-plantedname`, "plantedline ".repeat(2_000)));
  const { id } = await createBatch(service, `${lines.join("\n")}\n`);
  const { output_file_id: fileId } = await untilStatus(service, id, "completed");
  expect(await isFound("plantedline")).toBe(true);
  const results = await (await service.client.files.content(fileId!)).text();
  expect(results.match(/PLANTEDLINE/g)!.length).toBeGreaterThan(1_000);
  await vi.waitFor(() => expect(service.client.files.retrieve(fileId!)).rejects.toMatchObject({ status: 404 }));
});

test("a batch is gone once the list of its results was read to its end", async () => {
  const lines = ["c", "d"].map((name) => lineOf(`${name}-plantedlist`, "plantedresult ".repeat(2_000)));
  const inputFileId = await upload(service, `${lines.join("\n")}\n`);
  const { id } = await service.client.batches.create({
    input_file_id: inputFileId,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
    metadata: { label: "plantedbatchlabel" },
  });
  const { output_file_id: fileId } = await untilStatus(service, id, "completed");
  const read = async (query: string) => (await fetch(`${service.url}/v1/batches/${id}/results?${query}`)).text();
  expect(await read("after=2")).toBe("");
  expect(await read("limit=1")).toContain("PLANTEDRESULT");
  expect(await service.client.files.retrieve(fileId!)).toMatchObject({ id: fileId });
  expect(await read("after=1")).toContain("PLANTEDRESULT");
  await vi.waitFor(() => expect(service.client.files.retrieve(fileId!)).rejects.toMatchObject({ status: 404 }));
  await vi.waitFor(() => expect(service.client.files.retrieve(inputFileId)).rejects.toMatchObject({ status: 404 }));
  expect(await service.client.batches.retrieve(id)).toMatchObject({ status: "completed", metadata: null });
});

test("a confirmed webhook counts as a read", async () => {
  const receiver = await startReceiver();
  await post("/v1/jobs", { ...planted("plantedhook"), webhook_url: receiver.url });
  await vi.waitFor(() => expect(JSON.stringify(receiver.received)).toContain("PLANTEDHOOK"), 20_000);
});

test("no file of the data folder holds any of it any more, although the service runs", async () => {
  const planted = ["job", "chat", "events", "line", "name", "list", "result", "batchlabel", "hook"].map(
    (name) => `planted${name}`,
  );
  const words = [...planted, "brokenread", longWord.trim()];
  const left = async () => {
    const found = await Promise.all(words.map(isFound));
    expect(words.filter((_, i) => found[i])).toEqual([]);
  };
  await vi.waitFor(left, { timeout: 60_000, interval: 500 });
}, 90_000);
