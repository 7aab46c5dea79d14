// Deleting batches: everything that they hold is gone and gives its space back, and nothing else is.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ProviderError } from "../../src/providers/provider.ts";
import { describeForm } from "../support/forms.ts";
import {
  createBatch,
  endpoint,
  lineOf,
  shouting,
  startTestService,
  type TestService,
  untilStatus,
  upload,
} from "./support.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const refused = { kind: "permanent", code: "provider_rejected", message: "Not so.", maybeBilled: false } as const;

describeForm((mode) => {
  let service: TestService;
  let release = () => {};
  beforeAll(async () => {
    service = await startTestService(mode, {
      provider: {
        ...shouting,
        async call(call) {
          const answer = await shouting.call(call);
          if (answer.text.startsWith("BAD")) throw new ProviderError(refused);
          if (answer.text.startsWith("SLOW")) {
            await new Promise<void>((resolve) => {
              release = resolve;
              call.signal.addEventListener("abort", () => resolve());
            });
          }
          return answer;
        },
      },
    });
  });
  afterAll(() => service?.close());

  async function ask(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
    const response = await fetch(`${service.url}${path}`, {
      method,
      headers: { ...headers, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: compared with what is expected
    return { status: response.status, body: (await response.json().catch(() => undefined)) as any };
  }
  const linesOf = async (id: string): Promise<string[]> => {
    const { body } = await ask("GET", `/v1/jobs?batch=${id}`);
    return body.data.map(({ job_id }: { job_id: string }) => job_id);
  };
  const usage = async () => {
    const day = new Date().toISOString().slice(0, 10);
    return (await ask("GET", `/v1/usage?from=${day}&to=${day}`)).body.data;
  };

  test("F3: a batch goes with its lines, texts and files; what it used stays counted", async () => {
    const { id, input_file_id } = await createBatch(service, [lineOf("a"), lineOf("b", "bad b")].join("\n"));
    const { output_file_id, error_file_id } = await untilStatus(service, id, "completed");
    const lines = await linesOf(id);
    expect(lines).toHaveLength(2);
    const before = await usage();
    expect(before).not.toEqual([]);

    expect(await ask("DELETE", `/v1/jobs/${lines[0]}`)).toMatchObject({ status: 409 });
    expect(await ask("DELETE", `/v1/batches/${id}`)).toEqual({
      status: 200,
      body: { id, object: "batch", deleted: true },
    });
    const gone = [
      `/v1/batches/${id}`,
      `/v1/batches/${id}/results`,
      `/v1/jobs?batch=${id}`,
      ...lines.map((line) => `/v1/jobs/${line}`),
      ...[input_file_id, output_file_id, error_file_id].flatMap((f) => [`/v1/files/${f}`, `/v1/files/${f}/content`]),
    ];
    for (const path of gone) expect(await ask("GET", path), path).toMatchObject({ status: 404 });
    expect(await ask("DELETE", `/v1/batches/${id}`)).toMatchObject({ status: 404 });
    expect((await service.client.batches.list()).data).toEqual([]);
    expect(await usage()).toEqual(before);
    if (mode === "embedded") expect(await readdir(join(service.settings.dataDir, "files"))).toEqual([]);
  });

  test("F3: one that runs is refused with what to do", async () => {
    const { id } = await createBatch(service, lineOf("a", "slow a"));
    await untilStatus(service, id, "in_progress");
    await vi.waitFor(async () => expect((await ask("GET", `/v1/batches/${id}`)).body.progress.in_progress).toBe(1), {
      timeout: 30_000,
    });
    const refusal = await ask("DELETE", `/v1/batches/${id}`);
    expect(refusal).toMatchObject({ status: 409, body: { error: { code: "conflict" } } });
    expect(refusal.body.error.message).toContain(`POST /v1/batches/${id}/cancel`);
    await service.client.batches.cancel(id);
    expect((await ask("DELETE", `/v1/batches/${id}`)).body.error.message).toContain("Wait until it is cancelled.");
    release();
    await untilStatus(service, id, "cancelled");
    expect(await ask("DELETE", `/v1/batches/${id}`)).toMatchObject({ status: 200 });
  });

  test("F3: an input that another batch has stays; a failed batch can be deleted", async () => {
    const input_file_id = await upload(service, lineOf("a"));
    const asked = { input_file_id, endpoint, completion_window: "24h" } as const;
    const [first, second] = [await service.client.batches.create(asked), await service.client.batches.create(asked)];
    await untilStatus(service, first.id, "completed");
    await untilStatus(service, second.id, "completed");
    expect(await ask("DELETE", `/v1/batches/${first.id}`)).toMatchObject({ status: 200 });
    expect(await ask("GET", `/v1/files/${input_file_id}/content`)).toMatchObject({ status: 200 });
    expect(await linesOf(second.id)).toHaveLength(1);
    expect(await ask("DELETE", `/v1/batches/${second.id}`)).toMatchObject({ status: 200 });
    expect(await ask("GET", `/v1/files/${input_file_id}/content`)).toMatchObject({ status: 404 });

    const failed = await createBatch(service, "no JSON");
    await untilStatus(service, failed.id, "failed");
    expect(await ask("DELETE", `/v1/batches/${failed.id}`)).toMatchObject({ status: 200 });
    expect(await ask("GET", `/v1/files/${failed.input_file_id}`)).toMatchObject({ status: 404 });
  });

  test("F3: a deleted batch does not come back under its id, neither by its key nor as a retry", async () => {
    const key = { "idempotency-key": `once ${mode}` };
    const input_file_id = await upload(service, [lineOf("a"), lineOf("b", "bad b")].join("\n"));
    const other = await service.client.batches.create({ input_file_id, endpoint, completion_window: "24h" });
    const asked = { input_file_id, endpoint, completion_window: "24h" };
    const { body: first } = await ask("POST", "/v1/batches", asked, key);
    await untilStatus(service, first.id, "completed");
    await untilStatus(service, other.id, "completed");

    const { body: retry } = await ask("POST", `/v1/batches/${first.id}/retry`);
    await untilStatus(service, retry.id, "completed");
    expect(await ask("DELETE", `/v1/batches/${retry.id}`)).toMatchObject({ status: 200 });
    const { body: again } = await ask("POST", `/v1/batches/${first.id}/retry`);
    expect(again.id).not.toBe(retry.id);
    expect(again).toMatchObject({ retry_of: first.id });
    expect((await untilStatus(service, again.id, "completed")).request_counts).toMatchObject({ total: 1, failed: 1 });
    expect((await ask("POST", `/v1/batches/${first.id}/retry`)).body.id).toBe(again.id);

    expect(await ask("DELETE", `/v1/batches/${first.id}`)).toMatchObject({ status: 200 });
    const { body: second } = await ask("POST", "/v1/batches", asked, key);
    expect(second.id).not.toBe(first.id);
    await untilStatus(service, second.id, "completed");
  });

  test("F3: no tenant deletes another's batch", async () => {
    const { id } = await createBatch(service, lineOf("a"));
    await untilStatus(service, id, "completed");
    const keyOf = async (name: string, key?: string) =>
      (await ask("POST", "/v1/keys", { name, admin: name === "admin" }, key ? { authorization: `Bearer ${key}` } : {}))
        .body.key as string;
    const admin = await keyOf("admin");
    const theirs = { authorization: `Bearer ${await keyOf("theirs", admin)}` };
    expect(await ask("DELETE", `/v1/batches/${id}`, undefined, theirs)).toMatchObject({ status: 404 });
    expect(await ask("DELETE", `/v1/batches/${id}`)).toMatchObject({ status: 401 });
    const ours = { authorization: `Bearer ${admin}` };
    expect(await ask("GET", `/v1/batches/${id}`, undefined, ours)).toMatchObject({ status: 200 });
    expect(await ask("DELETE", `/v1/batches/${id}`, undefined, ours)).toMatchObject({ status: 200 });
  });
});
