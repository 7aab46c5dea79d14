// Files and batches under API keys: a tenant sees its own, and limits hold for a batch as a whole.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import {
  createBatch,
  endpoint,
  lineOf,
  linesIn,
  startTestService,
  type TestService,
  untilStatus,
  upload,
} from "./support.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let service: TestService;
let admin: string;
beforeAll(async () => {
  service = await startTestService("embedded");
  admin = await create({ name: "admin", admin: true });
});
afterAll(() => service?.close());

async function create(fields: object): Promise<string> {
  const response = await fetch(`${service.url}/v1/keys`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(admin && { authorization: `Bearer ${admin}` }) },
    body: JSON.stringify(fields),
  });
  return ((await response.json()) as { key: string }).key;
}

/** The same service, called with a new key of this kind. */
async function as(fields: object): Promise<TestService> {
  const apiKey = await create({ name: "k", ...fields });
  return { ...service, client: new OpenAI({ baseURL: `${service.url}/v1`, apiKey, maxRetries: 0 }) };
}

const lines = (n: number) =>
  Array.from({ length: n }, (_, i) => `${lineOf(`line ${i}`, "hi", { max_tokens: 20 })}\n`).join("");

test("OpenAI's client says what is wrong with its key", async () => {
  await expect(service.client.files.list()).rejects.toMatchObject({ status: 401 });
  await expect(service.client.batches.list()).rejects.toMatchObject({ status: 401 });
  await expect(service.client.models.list()).rejects.toMatchObject({ status: 401 });
});

test("another tenant's files and batches are not there", async () => {
  const [a, b] = [await as({ tenant: "a" }), await as({ tenant: "b" })];
  const batch = await createBatch(a, lines(2));
  const done = await untilStatus(a, batch.id, "completed");
  expect(await linesIn(a, done.output_file_id)).toHaveLength(2);

  for (const fileId of [batch.input_file_id, done.output_file_id!]) {
    for (const refused of [
      b.client.files.retrieve(fileId),
      b.client.files.content(fileId),
      b.client.files.delete(fileId),
      b.client.batches.create({ input_file_id: fileId, endpoint, completion_window: "24h" }),
    ]) {
      await expect(refused).rejects.toMatchObject({ status: 404 });
    }
  }
  for (const refused of [b.client.batches.retrieve(batch.id), b.client.batches.cancel(batch.id)]) {
    await expect(refused).rejects.toMatchObject({ status: 404 });
  }
  expect((await b.client.files.list()).data).toEqual([]);
  expect((await b.client.batches.list()).data).toEqual([]);
  expect((await (await as({ tenant: "a" })).client.batches.list()).data).toHaveLength(1);
});

test("an environment that the key may not use holds no file of it", async () => {
  const prod = await as({ tenant: "c", environments: ["PROD"] });
  const id = await upload(prod, lines(1));
  await expect((await as({ tenant: "c", environments: ["UAT"] })).client.files.retrieve(id)).rejects.toMatchObject({
    status: 404,
  });
  const response = await fetch(`${service.url}/v1/files`, {
    method: "POST",
    headers: { authorization: `Bearer ${prod.client.apiKey}`, "x-sluice-environment": "UAT" },
    body: formOf(lines(1)),
  });
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.status).toBeLessThan(500);
});

test.each([
  [{ max_waiting: 2 }, "limit_exceeded", /2 jobs waiting or running/],
  [{ daily_tokens: 60 }, "limit_exceeded", /60 tokens per UTC day/],
  [{ budget_usd: 0.000001 }, "budget_exceeded", /\$0\.000001 per month/],
])("a batch that is more than a key of %j allows has no job at all", async (limits, code, message) => {
  const limited = await as(limits);
  const batch = await untilStatus(limited, (await createBatch(limited, lines(3))).id, "failed");
  expect(batch.errors?.data).toEqual([expect.objectContaining({ code, message: expect.stringMatching(message) })]);
  const jobs = await fetch(`${service.url}/v1/jobs?tenant=k`, { headers: { authorization: `Bearer ${admin}` } });
  expect(((await jobs.json()) as { data: unknown[] }).data).toEqual([]);
});

test("a batch within the limits runs, and what it used counts", async () => {
  const limited = await as({ name: "within", daily_tokens: 200 });
  await untilStatus(limited, (await createBatch(limited, lines(3))).id, "completed");
  // 15 tokens each: the second batch fits, four lines at their full length would not.
  const batch = await untilStatus(limited, (await createBatch(limited, lines(8))).id, "failed");
  expect(batch.errors?.data?.[0]?.message).toMatch(/45 are used, 0 are reserved/);
  await untilStatus(limited, (await createBatch(limited, lines(2))).id, "completed");
});

function formOf(content: string): FormData {
  const form = new FormData();
  form.set("purpose", "batch");
  form.set("file", new File([content], "in.jsonl"));
  return form;
}
