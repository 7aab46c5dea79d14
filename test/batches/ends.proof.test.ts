// The other ends of a batch: failed lines and a retry of them, a deadline that passes, a restart in the middle, a file that
// is gone; requests that are made once; and whose files and batches they are.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Clock } from "../../src/domain/clock.ts";
import { ProviderError } from "../../src/providers/provider.ts";
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

let service: TestService;
/** How far the service's clock is ahead. */
let aheadMs = 0;
const clock: Clock = { now: () => performance.now() + aheadMs, wall: () => Date.now() + aheadMs };
/** Prompts that begin with `bad` fail, those that begin with `slow` wait until they are aborted. */
let badFails = true;
beforeAll(async () => {
  service = await startTestService("embedded", {
    clock,
    file: { worker: { drainMs: 100 } },
    provider: {
      ...shouting,
      async call(call) {
        const answer = await shouting.call(call);
        if (badFails && answer.text.startsWith("BAD")) {
          throw new ProviderError({
            kind: "permanent",
            code: "provider_rejected",
            message: "Not so.",
            maybeBilled: false,
          });
        }
        if (answer.text.startsWith("SLOW")) {
          await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
          throw new ProviderError({ kind: "aborted", code: "cancelled", message: "Aborted.", maybeBilled: true });
        }
        return answer;
      },
    },
  });
});
afterAll(() => service?.close());

test("failed lines stand in the error file with what a call would have been answered; only they are run again", async () => {
  badFails = true;
  const lines = [lineOf("a"), lineOf("b", "bad b"), lineOf("c"), lineOf("d", "bad d")];
  const { id } = await createBatch(service, lines.join("\n"));
  await expect(retry(id)).resolves.toMatchObject({ status: 409 });
  const done = await untilStatus(service, id, "completed");
  expect(done.request_counts).toEqual({ total: 4, completed: 2, failed: 2 });
  expect((await linesIn(service, done.output_file_id)).map((line) => line.custom_id)).toEqual(["a", "c"]);
  const errors = await linesIn(service, done.error_file_id);
  expect(errors.map((line) => line.custom_id)).toEqual(["b", "d"]);
  expect(errors[0]).toMatchObject({
    response: {
      status_code: 400,
      body: { error: { code: "provider_rejected", message: "Not so.", type: "invalid_request_error" } },
    },
    error: null,
  });

  badFails = false;
  const [again, twice] = await Promise.all([retry(id), retry(id)]);
  expect(again.body).toMatchObject({ retry_of: id, endpoint, completion_window: "24h" });
  expect(twice.body.id).toBe(again.body.id);
  const better = await untilStatus(service, again.body.id, "completed");
  expect(better.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
  expect((await linesIn(service, better.input_file_id)).map((line) => line.custom_id)).toEqual(["b", "d"]);
  expect((await linesIn(service, better.output_file_id)).map((line) => line.custom_id)).toEqual(["b", "d"]);
  await expect(retry(again.body.id)).resolves.toMatchObject({ status: 409 });
});

async function retry(id: string): Promise<{ status: number; body: { id: string } }> {
  const response = await fetch(`${service.url}/v1/batches/${id}/retry`, { method: "POST" });
  return { status: response.status, body: (await response.json()) as { id: string } };
}

test("lines may call /v1/responses", async () => {
  const line = (custom_id: string, fields: object = {}) =>
    JSON.stringify({ custom_id, method: "POST", url: "/v1/responses", body: { input: "Hello?", ...fields } });
  const run = async (content: string) => {
    const input_file_id = await upload(service, content);
    const create = { input_file_id, endpoint: "/v1/responses", completion_window: "24h" } as const;
    return untilStatus(service, (await service.client.batches.create(create)).id, "completed", "failed");
  };
  const done = await run(`${line("a")}\n${line("b", { instructions: "Be brief." })}`);
  const output = await linesIn(service, done.output_file_id);
  expect(output.map(({ custom_id, response: { body } }) => [custom_id, body.object, body.instructions])).toEqual([
    ["a", "response", null],
    ["b", "response", "Be brief."],
  ]);
  expect(output[0].response.body.output[0].content[0].text).toBe("HELLO?");
  const failed = await run(`${line("a", { background: true })}\n${lineOf("b")}`);
  expect(failed.errors?.data).toMatchObject([
    { line: 1, param: "body.background" },
    { line: 2, code: "mismatched_url" },
  ]);
});

test("a batch goes on where it was after a restart", async () => {
  const { id } = await createBatch(service, [lineOf("a"), lineOf("slow")].join("\n"));
  await vi.waitFor(async () => expect((await service.client.batches.retrieve(id)).request_counts?.completed).toBe(1), {
    timeout: 15_000,
  });
  await service.restart();
  expect(await service.client.batches.retrieve(id)).toMatchObject({ status: "in_progress" });
  await service.client.batches.cancel(id);
});

test("lines that have not ended at the deadline are expired, and the batch is", async () => {
  const { id } = await createBatch(service, [lineOf("a"), lineOf("b", "slow"), lineOf("c")].join("\n"));
  await vi.waitFor(async () => expect((await service.client.batches.retrieve(id)).request_counts?.completed).toBe(2), {
    timeout: 15_000,
  });
  aheadMs += 25 * 3_600_000;
  const done = await untilStatus(service, id, "expired");
  expect(done.request_counts).toEqual({ total: 3, completed: 2, failed: 1 });
  expect((await linesIn(service, done.output_file_id)).map((line) => line.custom_id)).toEqual(["a", "c"]);
  expect(await linesIn(service, done.error_file_id)).toEqual([
    {
      id: expect.any(String),
      custom_id: "b",
      response: null,
      error: { code: "batch_expired", message: expect.any(String) },
    },
  ]);
});

test("a request under an Idempotency-Key makes one batch, also when it comes twice at once", async () => {
  const input_file_id = await upload(service, lineOf("a"));
  const body = { input_file_id, endpoint, completion_window: "24h" } as const;
  const once = { headers: { "Idempotency-Key": "mine" } };
  const create = () => service.client.batches.create(body, once);
  const [first, other] = await Promise.all([create(), create()]);
  expect(other.id).toBe(first.id);
  expect((await service.client.batches.create(body, once)).id).toBe(first.id);
  await expect(service.client.batches.create({ ...body, metadata: { a: "b" } }, once)).rejects.toMatchObject({
    status: 409,
    code: "idempotency_conflict",
  });
});

test("what belongs to another tenant is not there", async () => {
  const keyOf = async (name: string, key?: string) => {
    const response = await fetch(`${service.url}/v1/keys`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({ name, admin: name === "admin" }),
    });
    return ((await response.json()) as { key: string }).key;
  };
  const admin = await keyOf("admin");
  const clientOf = (apiKey: string) => new OpenAI({ baseURL: `${service.url}/v1`, apiKey, maxRetries: 0 });
  const [ours, theirs] = [clientOf(await keyOf("ours", admin)), clientOf(await keyOf("theirs", admin))];

  const input_file_id = await upload({ ...service, client: ours }, lineOf("a"));
  const { id } = await ours.batches.create({ input_file_id, endpoint, completion_window: "24h" });
  await vi.waitFor(async () => expect((await ours.batches.retrieve(id)).status).toBe("completed"), { timeout: 15_000 });
  const { output_file_id } = await ours.batches.retrieve(id);
  expect((await ours.batches.list()).data.map((batch) => batch.id)).toEqual([id]);
  expect((await ours.files.list()).data.map((file) => file.id)).toEqual([output_file_id, input_file_id]);

  expect((await theirs.batches.list()).data).toEqual([]);
  expect((await theirs.files.list()).data).toEqual([]);
  const create = { endpoint, completion_window: "24h" } as const;
  for (const attempt of [
    () => theirs.files.retrieve(input_file_id),
    () => theirs.files.content(output_file_id!),
    () => theirs.files.delete(input_file_id),
    () => theirs.files.list({ after: input_file_id }),
    () => theirs.batches.create({ ...create, input_file_id }),
    () => theirs.batches.retrieve(id),
    () => theirs.batches.cancel(id),
    () => theirs.batches.list({ after: id }),
  ]) {
    await expect(attempt()).rejects.toThrow(OpenAI.NotFoundError);
  }
  await expect(clientOf("wrong").batches.list()).rejects.toThrow(OpenAI.AuthenticationError);
});
