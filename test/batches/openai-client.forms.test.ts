// Files and batches as OpenAI's own client sees them, in both forms of the service.
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { describeForm } from "../support/forms.ts";
import {
  createBatch,
  endpoint,
  lineOf,
  linesIn,
  shouting,
  startTestService,
  type TestService,
  untilStatus,
  upload,
} from "./support.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

describeForm((mode) => {
  let service: TestService;
  /** Calls wait for this. */
  let open: () => void;
  let opened: Promise<void>;
  const close = () => {
    opened = new Promise((resolve) => {
      open = resolve;
    });
  };
  close();

  beforeAll(async () => {
    service = await startTestService(mode, {
      provider: {
        ...shouting,
        async call(call) {
          await Promise.race([opened, new Promise((resolve) => call.signal.addEventListener("abort", resolve))]);
          return shouting.call(call);
        },
      },
    });
  });
  afterAll(() => service?.close());

  test("files: create, list, retrieve, content, delete", async () => {
    const { client } = service;
    const content = `${lineOf("a")}\n${lineOf("b")}\n`;
    const file = await client.files.create({
      file: await toFile(Buffer.from(content), "two lines.jsonl"),
      purpose: "batch",
    });
    expect(file).toMatchObject({
      id: expect.stringMatching(/^file-[0-9a-f]{32}$/),
      object: "file",
      bytes: Buffer.byteLength(content),
      filename: "two lines.jsonl",
      purpose: "batch",
      status: "processed",
    });
    expect(Math.abs(file.created_at - Date.now() / 1000)).toBeLessThan(60);
    expect(await client.files.retrieve(file.id)).toEqual(file);
    const response = await client.files.content(file.id);
    expect(await response.text()).toBe(content);

    const second = await upload(service, content);
    const third = await upload(service, content);
    const ids: string[] = [];
    for await (const listed of client.files.list({ limit: 2, order: "desc" })) ids.push(listed.id);
    expect(ids.slice(0, 3)).toEqual([third, second, file.id]);
    const ascending: string[] = [];
    for await (const listed of client.files.list({ limit: 2, order: "asc", purpose: "batch" }))
      ascending.push(listed.id);
    expect(ascending).toEqual(ids.toReversed());

    expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: "file", deleted: true });
    await expect(client.files.retrieve(file.id)).rejects.toThrow(OpenAI.NotFoundError);
    await expect(client.files.content(file.id)).rejects.toThrow(OpenAI.NotFoundError);
    await expect(client.files.delete(file.id)).rejects.toThrow(OpenAI.NotFoundError);
  });

  test("a batch: create, poll, results while it runs, download", async () => {
    const { client } = service;
    const lines = Array.from({ length: 12 }, (_, i) => lineOf(`id-${i}`, `line ${i}`));
    const input_file_id = await upload(service, `${lines.join("\n")}\n`);
    const metadata = { customer: "someone" };
    const created = await client.batches.create({ input_file_id, endpoint, completion_window: "24h", metadata });
    expect(created).toMatchObject({ object: "batch", status: "validating", input_file_id, endpoint, metadata });
    expect(created.expires_at! - created.created_at).toBe(24 * 3600);

    const running = await untilStatus(service, created.id, "in_progress");
    expect(running.request_counts).toEqual({ total: 12, completed: 0, failed: 0 });
    await expect(client.files.delete(input_file_id)).rejects.toThrow(OpenAI.ConflictError);
    open();
    const done = await untilStatus(service, created.id, "completed");
    close();
    expect(done).toMatchObject({
      request_counts: { total: 12, completed: 12, failed: 0 },
      usage: { input_tokens: 120, output_tokens: 60, total_tokens: 180 },
    });
    expect(done.in_progress_at).toBeGreaterThanOrEqual(done.created_at);
    expect(done.completed_at).toBeGreaterThanOrEqual(done.finalizing_at!);
    expect(done.error_file_id).toBeUndefined();

    const output = await linesIn(service, done.output_file_id);
    expect(output.map((line) => line.custom_id)).toEqual(lines.map((_, i) => `id-${i}`));
    expect(output[3]).toEqual({
      id: expect.stringMatching(/^batch_req_/),
      custom_id: "id-3",
      response: {
        status_code: 200,
        request_id: expect.any(String),
        body: expect.objectContaining({
          object: "chat.completion",
          model: "llama3-3-70b",
          choices: [expect.objectContaining({ message: expect.objectContaining({ content: "LINE 3" }) })],
          usage: expect.objectContaining({ total_tokens: 15 }),
        }),
      },
      error: null,
    });
    expect(await client.files.retrieve(done.output_file_id!)).toMatchObject({ purpose: "batch_output" });

    const results = await fetch(`${service.url}/v1/batches/${created.id}/results?after=2&limit=3`);
    const texts = (await results.text()).trimEnd().split("\n");
    expect(texts.map((text) => JSON.parse(text))).toEqual(
      output.slice(2, 5).map((line, i) => ({ ...line, line: i + 3 })),
    );
  });

  test("batches are listed newest first, a page at a time", async () => {
    const { client } = service;
    const made: string[] = [];
    open();
    for (const name of ["a", "b", "c"]) made.unshift((await createBatch(service, lineOf(name))).id);
    const ids: string[] = [];
    for await (const batch of client.batches.list({ limit: 2 })) ids.push(batch.id);
    expect(ids.slice(0, 3)).toEqual(made);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of made) await untilStatus(service, id, "completed");
    close();
  });

  test("cancel: what waits ends, what runs may end, and every line is in one of the files", async () => {
    const { client } = service;
    const count = 80;
    const lines = Array.from({ length: count }, (_, i) => lineOf(`id-${i}`));
    const { id } = await createBatch(service, lines.join("\n"));
    // As many as can run at a time are running.
    await vi.waitFor(async () => expect((await progressOf(id)).in_progress).toBe(50), { timeout: 30_000 });
    const cancelling = await client.batches.cancel(id);
    expect(cancelling.status).toBe("cancelling");
    expect((await client.batches.cancel(id)).status).toMatch(/cancel/);
    await vi.waitFor(async () => expect((await progressOf(id)).cancelled).toBe(30), { timeout: 30_000 });
    open();
    const done = await untilStatus(service, id, "cancelled");
    close();
    expect(done.request_counts).toEqual({ total: count, completed: 50, failed: 0 });
    const output = await linesIn(service, done.output_file_id);
    const errors = await linesIn(service, done.error_file_id);
    const ids = [...output, ...errors].map((line) => line.custom_id);
    expect(ids.toSorted()).toEqual(lines.map((_, i) => `id-${i}`).toSorted());
    expect(errors[0]).toMatchObject({ response: null, error: { code: "batch_cancelled" } });
    await expect(client.batches.cancel(done.id)).resolves.toMatchObject({ status: "cancelled" });
  });

  async function progressOf(id: string) {
    return ((await service.client.batches.retrieve(id)) as unknown as { progress: Record<string, number> }).progress;
  }
});
