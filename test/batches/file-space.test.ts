// The bytes that the files of a tenant may have, counted exactly; and files that delete themselves.
import { afterAll, beforeAll, expect, test } from "vitest";
import { FileSpace } from "../../src/jobs/file-space.ts";
import { testSettings } from "../support/jobs-context.ts";
import { lineOf, startTestService, type TestService, untilStatus } from "./support.ts";

const limit = 100_000;
let service: TestService;
/** By name of a tenant. */
const keys = new Map<string, string>();
beforeAll(async () => {
  service = await startTestService("embedded", { file: { limits: { maxTenantFileBytes: limit } } });
  const admin = await newKey("admin");
  for (const name of ["a", "b", "c", "d"]) keys.set(name, await newKey(name, admin));
});
afterAll(() => service?.close());

async function newKey(name: string, by?: string): Promise<string> {
  const { body } = await ask("POST", "/v1/keys", JSON.stringify({ name, admin: name === "admin" }), {
    "content-type": "application/json",
    ...(by && { authorization: `Bearer ${by}` }),
  });
  return body.key;
}

async function ask(method: string, path: string, body?: string | FormData, headers: Record<string, string> = {}) {
  const response = await fetch(`${service.url}${path}`, { method, headers, ...(body !== undefined && { body }) });
  // biome-ignore lint/suspicious/noExplicitAny: compared with what is expected
  return { status: response.status, body: (await response.json()) as any };
}

const as = (tenant: string) => ({ authorization: `Bearer ${keys.get(tenant)}` });
async function upload(tenant: string, content: string, fields: Record<string, string> = {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ purpose: "batch", ...fields })) form.append(name, value);
  form.append("file", new Blob([content]), "in.jsonl");
  return ask("POST", "/v1/files", form, as(tenant));
}
const full = { status: 429, body: { error: { code: "limit_exceeded", param: "file" } } };

test("B5: the bytes of a tenant's files are limited and counted exactly, also after a restart", async () => {
  const { body: first } = await upload("a", "x".repeat(60_000));
  expect(await upload("a", "x".repeat(40_001))).toMatchObject(full);
  expect(await upload("a", "x".repeat(40_000))).toMatchObject({ status: 200 });
  const refused = await upload("a", "x");
  expect(refused).toMatchObject(full);
  expect(refused.body.error.message).toContain("100000 bytes in all (limits.maxTenantFileBytes)");
  expect(await upload("b", "x".repeat(limit))).toMatchObject({ status: 200 });

  await service.restart();
  expect(await upload("a", "x")).toMatchObject(full);
  expect(await ask("DELETE", `/v1/files/${first.id}`, undefined, as("a"))).toMatchObject({ status: 200 });
  expect(await upload("a", "x".repeat(60_001))).toMatchObject(full);
  expect(await upload("a", "x".repeat(60_000))).toMatchObject({ status: 200 });
});

test("B5: of parallel uploads so many are taken as fit, and what was refused counts no more", async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => upload("c", "x".repeat(30_000))));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(7);
  expect(await upload("c", "x".repeat(10_001))).toMatchObject(full);
  expect(await upload("c", "x".repeat(10_000))).toMatchObject({ status: 200 });
});

test("B5: the results of a batch count and are never refused; deleting the batch gives their bytes back", async () => {
  const content = lineOf("a", "x".repeat(limit - 400));
  const { body: file } = await upload("d", content);
  const asked = JSON.stringify({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
  const headers = { ...as("d"), "content-type": "application/json" };
  const { body: batch } = await ask("POST", "/v1/batches", asked, headers);
  const own = { ...service, client: service.client.withOptions({ apiKey: keys.get("d")! }) };
  await untilStatus(own, batch.id, "completed");
  expect(await upload("d", "x")).toMatchObject(full);
  expect(await ask("DELETE", `/v1/batches/${batch.id}`, undefined, as("d"))).toMatchObject({ status: 200 });
  expect(await upload("d", "x".repeat(limit))).toMatchObject({ status: 200 });
});

test("B5: no tenant gets more than half of the disk space for files", async () => {
  const settings = testSettings({ limits: { minFreeDiskBytes: 1_000 } });
  let free = 101_000;
  const space = new FileSpace(
    settings,
    { now: () => 0 },
    async function* () {},
    async () => free,
  );
  await space.load();
  const put = async (id: string, tenant: string, bytes: number) => {
    const arriving = await space.begin(tenant);
    try {
      await arriving.take(bytes);
      arriving.stored({ id, tenant, bytes });
      free -= bytes;
    } finally {
      arriving.end();
    }
  };
  await expect(put("1", "a", 50_001)).rejects.toMatchObject({ code: "limit_exceeded" });
  await put("1", "a", 50_000);
  await expect(put("2", "a", 1)).rejects.toThrow("half of the disk space for files");
  await put("2", "b", 25_000);
  await expect(put("3", "b", 1)).rejects.toMatchObject({ code: "limit_exceeded" });
  await put("3", "c", 12_500);
  expect(free).toBeGreaterThan(settings.limits.minFreeDiskBytes);
});
