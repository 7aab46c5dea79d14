// Many batches at once under limits: each is taken as a whole or not at all, together they keep within the limit, and
// what was taken runs to its end.
import OpenAI from "openai";
import { afterEach, expect, test, vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { endpoint, lineOf, shouting, startTestService, type TestService, untilStatus, upload } from "./support.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const services: TestService[] = [];
let open = () => {};
afterEach(async () => {
  open();
  await Promise.all(services.splice(0).map((service) => service.close()));
});

async function start(options: Parameters<typeof startTestService>[1]): Promise<TestService> {
  const service = await startTestService("embedded", options);
  services.push(service);
  return service;
}

const lines = (n: number) =>
  Array.from({ length: n }, (_, i) => `${lineOf(`l${i}`, "hi", { max_tokens: 20 })}\n`).join("");

const taken = ["in_progress", "finalizing", "completed"] as const;

/** So many batches of the same file at once. @returns those that are taken, the others being refused with this code */
async function createAtOnce(service: TestService, content: string, n: number, code: string): Promise<string[]> {
  const input_file_id = await upload(service, content);
  const { batches } = service.client;
  const created = await Promise.all(
    Array.from({ length: n }, () => batches.create({ input_file_id, endpoint, completion_window: "24h" })),
  );
  const looked = await Promise.all(created.map(({ id }) => untilStatus(service, id, ...taken, "failed")));
  const failed = looked.filter(({ status }) => status === "failed");
  expect(failed.map(({ errors }) => errors?.data?.[0]?.code)).toEqual(failed.map(() => code));
  return looked.filter(({ status }) => status !== "failed").map(({ id }) => id);
}

test.each([
  { max_waiting: 5 },
  // Up to 35 for a line, and 15 in the end.
  { daily_tokens: 250 },
])("of batches at once no more are taken than a key with %j has room for", async (limits) => {
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const provider = {
    ...shouting,
    async call(...args: Parameters<typeof shouting.call>) {
      await opened;
      return shouting.call(...args);
    },
  };
  const service = await start({ provider });
  const post = async (fields: object, key?: string) => {
    const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
    const response = await fetch(`${service.url}/v1/keys`, { method: "POST", headers, body: JSON.stringify(fields) });
    return ((await response.json()) as { key: string }).key;
  };
  const admin = await post({ name: "admin", admin: true });
  const apiKey = await post({ name: "k", ...limits }, admin);
  const limited = { ...service, client: new OpenAI({ baseURL: `${service.url}/v1`, apiKey, maxRetries: 0 }) };

  const taken = await createAtOnce(limited, lines(5), 6, "limit_exceeded");
  expect(taken).toHaveLength(1);
  open();
  const done = await untilStatus(limited, taken[0]!, "completed");
  expect(done.request_counts).toMatchObject({ total: 5, completed: 5 });
  // What was set aside for lines is given back with their ends, and nothing else is left.
  expect(await createAtOnce(limited, lines(5), 1, "limit_exceeded")).toHaveLength(1);
});

test("of batches at once no more are taken than the service has room for, and none of those that are hangs", async () => {
  const model: FileSettings["models"] = {
    "llama3-3-70b": {
      maxOutputTokens: 512,
      deployments: [
        {
          region: "us-east-1",
          modelId: "us.meta.llama3-3-70b-instruct-v1:0",
          quotas: [{ unit: "requests", per: "minute", limit: 1, burst: 1 }],
        },
      ],
    },
  };
  const service = await start({ file: { models: model, limits: { maxQueuedJobs: 10 } } });
  const taken = await createAtOnce(service, lines(8), 3, "limit_exceeded");
  expect(taken).toHaveLength(1);
  const counted = async (id: string) => (await service.client.batches.retrieve(id)).request_counts!;
  await vi.waitFor(async () => expect((await counted(taken[0]!)).completed).toBeGreaterThan(0), { timeout: 15_000 });
  await service.client.batches.cancel(taken[0]!);
  await untilStatus(service, taken[0]!, "cancelled");
  // Its room is there again, once the waiting jobs are counted anew.
  await vi.waitFor(async () => expect(await createAtOnce(service, lines(8), 1, "limit_exceeded")).toHaveLength(1), {
    timeout: 30_000,
    interval: 500,
  });
});
