// sluice/client against the real service in both of its forms: every method, what it does when the network fails, and what
// it rejects with.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import {
  type BatchProgress,
  type JobEvent,
  SluiceApiError,
  SluiceBatchError,
  SluiceClient,
  SluiceConnectionError,
  SluiceTimeoutError,
} from "../../src/client/index.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { shouting, startTestService, type TestService } from "../batches/support.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { describeForm } from "../support/forms.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** Lets an answer begin, and go on after its second piece, when the test says so. */
let gates = [Promise.resolve(), Promise.resolve()];
const words = ["Because ", "of ", "Rayleigh ", "scattering."];
const provider: Provider = {
  async call(call) {
    const [block] = canonicalPart(call.request).messages[0]!.content;
    const prompt = block?.type === "text" ? block.text : "";
    if (prompt === "never") return new Promise((_, reject) => call.signal.addEventListener("abort", reject));
    if (prompt !== "slowly") return shouting.call(call);
    await gates[0];
    for (const [i, word] of words.entries()) {
      if (i === 2) await gates[1];
      call.onText?.(word);
    }
    return { text: words.join(""), toolCalls: [], finishReason: "stop", usage: { input: 1, output: 4 } };
  },
  async close() {},
};

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});

/** A service that answers as the test says. */
async function answering(answer: (request: IncomingMessage, response: ServerResponse, n: number) => void) {
  let n = 0;
  const server = createServer((request, response) => {
    request.resume();
    answer(request, response, n++);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUp.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => n };
}

async function eventsOf(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const all: JobEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
const textOf = (events: JobEvent[]) => events.map((event) => (event.type === "text" ? event.text : "")).join("");

describeForm((mode) => {
  let service: TestService;
  let sluice: SluiceClient;
  beforeAll(async () => {
    service = await startTestService(mode, { provider, file: { worker: { drainMs: 100 } } });
    sluice = new SluiceClient({ baseUrl: `${service.url}/` });
  });
  afterAll(() => service.close());

  async function proxied(): Promise<{ proxy: FaultProxy; client: SluiceClient }> {
    const proxy = await startFaultProxy(Number(new URL(service.url).port));
    cleanUp.push(() => proxy.close());
    return { proxy, client: new SluiceClient({ baseUrl: proxy.through(service.url) }) };
  }

  test("enqueue, get, wait, submit, retry, cancel, list", async () => {
    const { job_id } = await sluice.enqueue({ prompt: "hello", environment: "UAT" });
    expect(await sluice.wait(job_id)).toMatchObject({ job_id, status: "completed", text: "HELLO" });
    expect(await sluice.get(job_id)).toMatchObject({ job_id, status: "completed" });
    const never = await sluice.submit({ messages: [{ role: "user", content: "never" }], environment: "PROD" });
    await expect(sluice.wait(never.job_id, { timeoutMs: 100 })).rejects.toThrow(SluiceTimeoutError);
    expect(await sluice.cancel(never.job_id)).toMatchObject({ status: "cancelled" });
    const again = await sluice.retry(never.job_id);
    expect(again.retry_of).toBe(never.job_id);
    expect((await sluice.retry(never.job_id)).job_id).toBe(again.job_id);
    await sluice.cancel(again.job_id);
    const listed: string[] = [];
    for await (const job of sluice.list({ environment: "PROD", status: "cancelled" })) listed.push(job.job_id);
    expect(listed.sort()).toEqual([never.job_id, again.job_id].sort());
    expect(await sluice.request("GET", "/healthz")).toMatchObject({ status: "ok" });
  });

  test("errors say what the service said, under its own paths and OpenAI's", async () => {
    const refused = await sluice.submit({ prompt: "x", environment: "DEV" }).catch((error) => error);
    expect(refused).toBeInstanceOf(SluiceApiError);
    expect(refused).toMatchObject({
      status: 400,
      code: "unknown_environment",
      field: "environment",
      advice: "Use an environment that the configuration defines.",
      requestId: expect.any(String),
    });
    const missing = "019ab2c4-5d6e-7f80-9123-456789abcdef";
    await expect(sluice.get(missing)).rejects.toMatchObject({ status: 404, code: "job_not_found", jobId: missing });
    await expect(eventsOf(sluice.stream(missing))).rejects.toMatchObject({ code: "job_not_found" });
    await expect(sluice.get("../keys")).rejects.toMatchObject({ status: 400 });
    const batch = sluice.batch(["x"], { completionWindow: "1m" }).next();
    await expect(batch).rejects.toMatchObject({ code: "invalid_request", field: "completion_window" });
  });

  test("a submit whose answer is lost is sent again, and makes one job", async () => {
    const { proxy, client } = await proxied();
    const before = new Set<string>();
    for await (const { job_id } of sluice.list()) before.add(job_id);
    proxy.stall("replies");
    const submitting = client.submit({ prompt: "once", environment: "UAT" });
    await proxy.stalled();
    proxy.cut();
    await proxy.heal();
    const job = await submitting;
    const made: string[] = [];
    for await (const { job_id } of sluice.list()) if (!before.has(job_id)) made.push(job_id);
    expect(made).toEqual([job.job_id]);
  });

  test("a stream tells states and text to the end", async () => {
    const { job_id } = await sluice.enqueue({ prompt: "slowly", environment: "UAT" });
    const events = await eventsOf(sluice.stream(job_id));
    expect(textOf(events)).toBe(words.join(""));
    expect(events.at(-1)).toEqual({ type: "state", status: "completed" });
    // Who comes late hears it all the same.
    expect(textOf(await eventsOf(sluice.stream(job_id)))).toBe(words.join(""));
  });

  test("a stream that is cut goes on where it was: no text twice, none lost", async () => {
    const { proxy, client } = await proxied();
    const open: (() => void)[] = [];
    gates = [0, 1].map(
      (i) =>
        new Promise((resolve) => {
          open[i] = resolve;
        }),
    );
    const { job_id } = await client.enqueue({ prompt: "slowly", environment: "UAT" });
    const events: JobEvent[] = [];
    let cuts = 0;
    for await (const event of client.stream(job_id)) {
      events.push(event);
      // The client is subscribed.
      open[0]!();
      if (textOf(events) !== "Because of " || cuts > 0) continue;
      cuts++;
      proxy.cut();
      open[1]!();
    }
    gates = [Promise.resolve(), Promise.resolve()];
    expect(cuts).toBe(1);
    expect(textOf(events)).toBe(words.join(""));
    const states = events.flatMap((event) => (event.type === "state" ? [event.status] : []));
    expect(states).toEqual([...new Set(states)]);
  });

  test("a batch from an iterable: uploaded as it is produced, results in order, with progress", async () => {
    // FerretDB reads whole collections for what others read an index.
    const count = mode === "embedded" ? 2_500 : 200;
    async function* prompts() {
      for (let i = 0; i < count; i++) {
        const body = { messages: [{ role: "user", content: `number ${i}` }] };
        yield i % 2 === 0 ? `number ${i}` : { customId: `mine-${i}`, body };
      }
    }
    const progress: BatchProgress[] = [];
    const results: (string | null)[] = [];
    const ids: string[] = [];
    const options = { environment: "PROD", model: "llama3-3-70b", pollMs: 100 };
    for await (const { customId, text, error } of sluice.batch(prompts(), {
      ...options,
      onProgress: (now) => progress.push(now),
    })) {
      expect(error).toBeNull();
      results.push(text);
      ids.push(customId);
    }
    expect(results).toEqual(Array.from({ length: count }, (_, i) => `NUMBER ${i}`));
    expect(ids.slice(0, 3)).toEqual(["request-1", "mine-1", "request-3"]);
    // Told of every thousand.
    const first = count < 1_000 ? { status: "validating", total: 0 } : { status: "uploading", total: 1_000 };
    expect(progress[0]).toMatchObject({ ...first, completed: 0, failed: 0 });
    expect(progress.at(-1)).toMatchObject({ status: "completed", total: count, completed: count, failed: 0 });
  });

  test("a batch in single steps: file, batch, wait, results, retry, list, delete", async () => {
    const line = (id: string, content: string) =>
      // A number that JavaScript cannot hold reaches the service as it is.
      `{"custom_id":"${id}","method":"POST","url":"/v1/chat/completions","body":{"model":"llama3-3-70b","messages":[{"role":"user","content":"${content}"}],"seed":1}}\n`;
    const bytes = (text: string) => new TextEncoder().encode(text);
    const content = [bytes(line("a", "alpha")), bytes(line("b", "never"))];
    const file = await sluice.uploadFile(content, { environment: "PROD", filename: "in.jsonl" });
    expect(file).toMatchObject({
      environment: "PROD",
      filename: "in.jsonl",
      bytes: content[0]!.length + content[1]!.length,
    });
    expect(await sluice.dryRunBatchFile({ input_file_id: file.id })).toMatchObject({ valid: true, lines: 2 });
    const once = { idempotencyKey: "one" };
    const batch = await sluice.createBatch({ input_file_id: file.id, metadata: { team: "x" } }, once);
    expect((await sluice.createBatch({ input_file_id: file.id, metadata: { team: "x" } }, once)).id).toBe(batch.id);

    const stop = new AbortController();
    const waiting = sluice.waitForBatch(batch.id, {
      pollMs: 50,
      signal: stop.signal,
      onBatch: ({ request_counts }) => request_counts.completed === 1 && stop.abort(new Error("one is enough")),
    });
    await expect(waiting).rejects.toThrow("one is enough");
    await expect(sluice.waitForBatch(batch.id, { pollMs: 50, timeoutMs: 60 })).rejects.toThrow(SluiceTimeoutError);
    const soFar: string[] = [];
    for await (const text of sluice.batchResultLines(batch.id)) soFar.push(text);
    expect(soFar.map((text) => JSON.parse(text))).toMatchObject([
      { custom_id: "a", line: 1, response: { status_code: 200 } },
    ]);

    await expect(sluice.deleteBatch(batch.id)).rejects.toMatchObject({ code: "conflict" });
    for await (const job of sluice.list({ batch: batch.id, status: "in_progress" })) await sluice.cancel(job.job_id);
    expect(await sluice.waitForBatch(batch.id, { pollMs: 50 })).toMatchObject({ status: "completed" });
    const results: [string, string | null][] = [];
    for await (const { customId, text } of sluice.batchResults(batch.id)) results.push([customId, text]);
    expect(results).toEqual([
      ["a", "ALPHA"],
      ["b", null],
    ]);

    const retry = await sluice.retryBatch(batch.id);
    expect(retry.retry_of).toBe(batch.id);
    await sluice.cancelBatch(retry.id);
    const listed: string[] = [];
    for await (const { id } of sluice.listBatches()) listed.push(id);
    expect(listed.indexOf(retry.id)).toBeLessThan(listed.indexOf(batch.id));
    expect(await sluice.deleteBatch(batch.id)).toMatchObject({ id: batch.id, deleted: true });
    await expect(sluice.getBatch(batch.id)).rejects.toMatchObject({ code: "batch_not_found" });
  });

  test("what the caller's own iterable throws is what the caller gets, and no file stays", async () => {
    const mine = new RangeError("my own database is unreachable");
    async function* failing(after: number) {
      for (let i = 0; i < after; i++) yield `number ${i}`;
      throw mine;
    }
    const files = () => sluice.request<{ data: object[] }>("GET", "/v1/files");
    const before = (await files()).data.length;
    for (const after of [0, 3]) {
      await expect(sluice.batch(failing(after)).next()).rejects.toBe(mine);
      await expect(sluice.dryRunBatch(failing(after))).rejects.toBe(mine);
    }
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    await expect(sluice.batch([{ body: circular }]).next()).rejects.toThrow(/circular/);
    expect((await files()).data).toHaveLength(before);
  });

  test("a batch whose requests are at fault is refused with the line, and one whose lines fail says so for each", async () => {
    const bad = sluice.batch(["fine", { customId: "request-1", body: {} }], { model: "llama3-3-70b", pollMs: 50 });
    const error = await bad.next().catch((reason) => reason);
    expect(error).toBeInstanceOf(SluiceBatchError);
    expect(error.errors).toMatchObject([{ line: 2 }]);
    expect(error.message).toMatch(/line 2/);
    await expect(sluice.batch([], { pollMs: 50 }).next()).rejects.toMatchObject({ name: /Sluice(Batch|Api)Error/ });

    const stop = new AbortController();
    let batchId = "";
    const waiting = sluice.batch(["never", "quick"], {
      model: "llama3-3-70b",
      pollMs: 50,
      signal: stop.signal,
      onProgress: (now) => {
        batchId = now.batchId ?? "";
        if (now.completed === 1) stop.abort(new Error("enough"));
      },
    });
    await expect(waiting.next()).rejects.toThrow("enough");
    expect(await sluice.cancelBatch(batchId)).toMatchObject({ status: "cancelling" });
  });
});

test("a list goes on over its pages, and no further than it is read", async () => {
  const page = (n: number) => JSON.stringify({ data: [{ job_id: `${n}` }], next_cursor: n < 2 ? `c${n + 1}` : null });
  const paths: string[] = [];
  const { url } = await answering((request, response, n) => {
    paths.push(request.url!);
    response.end(page(n));
  });
  const client = new SluiceClient({ baseUrl: url });
  const ids: string[] = [];
  for await (const { job_id } of client.list({ model: "a b" })) ids.push(job_id);
  expect(ids).toEqual(["0", "1", "2"]);
  expect(paths[0]).toBe("/v1/jobs?model=a+b&limit=200");
  expect(paths[2]).toBe("/v1/jobs?model=a+b&limit=200&cursor=c2");
});

test("429 and 503 are tried again when the service says, other refusals and what should not be are not", async () => {
  const error = { error: { code: "unavailable", message: "Not now." } };
  const keys = new Set<unknown>();
  const { url, asked } = await answering((request, response, n) => {
    keys.add(request.headers["idempotency-key"]);
    if (n === 0) response.writeHead(503, { "retry-after": "0" }).end(JSON.stringify(error));
    else if (n === 1) response.writeHead(429, { "retry-after": "0" }).end(JSON.stringify(error));
    else response.end('{"job_id":"1"}');
  });
  const client = new SluiceClient({ baseUrl: url, apiKey: "k" });
  expect(await client.enqueue({ prompt: "x" })).toEqual({ job_id: "1" });
  expect(asked()).toBe(3);
  expect(keys.size).toBe(1);
  expect([...keys][0]).toMatch(/^[0-9a-f-]{36}$/);

  for (const [status, headers, tries] of [
    [429, { "x-should-retry": "false" }, 1],
    [400, {}, 1],
    [503, { "retry-after": "0" }, 3],
  ] as const) {
    const other = await answering((_, response) => response.writeHead(status, headers).end(JSON.stringify(error)));
    const twice = new SluiceClient({ baseUrl: other.url, maxRetries: 2 });
    await expect(twice.enqueue({ prompt: "x" })).rejects.toMatchObject({ status, code: "unavailable" });
    expect(other.asked()).toBe(tries);
  }
});

test("another server, a closed port, a server that does not answer", async () => {
  const page = await answering((_, response) => response.end("<html>"));
  const client = (url: string, more = {}) => new SluiceClient({ baseUrl: url, maxRetries: 0, ...more });
  await expect(client(page.url).get("1")).rejects.toMatchObject({ name: "SluiceConnectionError", status: 200 });
  await expect(client("http://127.0.0.1:1").get("1")).rejects.toThrow(/cannot be reached: /);
  const silent = await answering(() => {});
  await expect(client(silent.url, { timeoutMs: 100 }).get("1")).rejects.toThrow(/does not answer/);
  const signal = AbortSignal.timeout(100);
  await expect(client(silent.url).get("1", { signal })).rejects.toMatchObject({ name: "TimeoutError" });
  await expect(client(silent.url).get("1", { signal: AbortSignal.abort() })).rejects.toMatchObject({
    name: "AbortError",
  });
  expect(() => new SluiceClient({ baseUrl: "x" })).toThrow(TypeError);
});

test("a silent stream times out; a stream that is not read is closed; a stream can be aborted", async () => {
  let closed = 0;
  const { url, asked } = await answering((_, response, n) => {
    response.on("close", () => closed++);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(': hi\n\nid: 1\r\nevent: state\r\ndata: {"status":"queued"}\r\n\r\n');
    if (n < 3) response.end();
  });
  const client = new SluiceClient({ baseUrl: url, maxRetries: 1 });
  await expect(eventsOf(client.stream("1"))).rejects.toThrow(SluiceConnectionError);
  expect(asked()).toBe(3);
  for await (const event of client.stream("1")) {
    expect(event).toEqual({ type: "state", status: "queued" });
    break;
  }
  await vi.waitFor(() => expect(closed).toBe(4));
  const stop = new AbortController();
  const reading = eventsOf(client.stream("1", { signal: stop.signal }));
  await vi.waitFor(() => expect(asked()).toBe(5));
  stop.abort(new Error("enough"));
  await expect(reading).rejects.toThrow("enough");
});
