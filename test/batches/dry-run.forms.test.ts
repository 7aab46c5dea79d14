// A dry run of a batch: its file is checked and summed up, and nothing comes of it.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { BatchDryRun } from "../../src/client/client-types.ts";
import { SluiceClient } from "../../src/client/index.ts";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { describeForm } from "../support/forms.ts";
import { endpoint, lineOf, startTestService, type TestService, untilStatus, upload } from "./support.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const deployment = (modelId: string, limit: number) => ({
  region: "us-east-1",
  modelId,
  quotas: [{ unit: "tokens", per: "minute", limit, burst: limit } as const],
});
const file: FileSettings = {
  defaultModel: "llama3-3-70b",
  models: {
    "llama3-3-70b": {
      contextTokens: 50_000,
      maxOutputTokensLimit: 2048,
      deployments: [deployment("us.meta.llama3-3-70b-instruct-v1:0", 10_000)],
    },
    "nova-lite": { deployments: [deployment("us.amazon.nova-lite-v1:0", 1_000_000)] },
  },
};
const minuteMs = 60_000;
const at = (time: string | null) => Date.parse(time!) - Date.now();

describeForm((mode) => {
  describe("a dry run of a batch", () => {
    let service: TestService;
    beforeAll(async () => {
      service = await startTestService(mode, { file });
      const ready = { position: 1, waiting_on: { kind: "turn" } };
      await vi.waitFor(async () => expect(await dryRun(lineOf("a"))).toMatchObject(ready), { timeout: 30_000 });
    });
    afterAll(() => service?.close());

    const dryRun = async (content: string, fields: object = {}): Promise<BatchDryRun> => {
      const input_file_id = await upload(service, content);
      const body = { input_file_id, endpoint, completion_window: "24h", ...fields } as const;
      return (await service.client.batches.create({ ...body, dry_run: true } as typeof body)) as unknown as BatchDryRun;
    };
    const batches = async () => (await service.client.batches.list()).data;
    const jobs = async () => ((await (await fetch(`${service.url}/v1/jobs`)).json()) as { data: unknown[] }).data;

    test("says what it takes and costs, by model too; which quota binds, and when it would be over", async () => {
      const many = Array.from({ length: 300 }, (_, i) => lineOf(`a${i}`, "Why?", { max_tokens: 990 }));
      const few = Array.from({ length: 20 }, (_, i) => lineOf(`b${i}`, "Why?", { model: "nova-lite", max_tokens: 50 }));
      const run = await dryRun([...few.slice(0, 10), ...many, ...few.slice(10)].join("\n"));
      const [llama, nova] = run.models;
      expect(run).toMatchObject({
        ...{ dry_run: true, valid: true, errors: null, environment: "UAT", tenant: "default", endpoint, lines: 320 },
        tokens: { max_output: 300 * 990 + 20 * 50 },
        models: [
          { model: "llama3-3-70b", lines: 300, tokens: { max_output: 300 * 990 } },
          { model: "nova-lite", lines: 20, tokens: { max_output: 1000 } },
        ],
        quota: { unit: "tokens", per: "minute", limit: 10_000 },
        position: 1,
        waiting_on: { kind: "turn" },
        in_completion_window: true,
      });
      const reserved = llama!.tokens!.input_reserved + llama!.tokens!.max_output;
      expect(llama!.tokens!.input_reserved).toBeGreaterThanOrEqual(300 * 10);
      expect(run.quota!.takes).toBe(reserved);
      expect(run.quota).toEqual(llama!.quota);
      expect(run.tokens!.input_reserved).toBe(llama!.tokens!.input_reserved + nova!.tokens!.input_reserved);
      expect(llama!.cost_usd!.max).toBeGreaterThan(llama!.cost_usd!.min);
      expect(run.cost_usd!.max).toBeCloseTo(llama!.cost_usd!.max + nova!.cost_usd!.max, 9);
      expect(at(run.expected_start)).toBeLessThan(5_000);
      // The first minute takes ten thousand tokens at once.
      const lastMs = (reserved / 10_000 - 1) * minuteMs;
      expect(at(run.expected_last_start)).toBeGreaterThan(lastMs - 30_000);
      expect(at(run.expected_last_start)).toBeLessThan(lastMs * 1.1 + 2 * minuteMs);
      expect(Math.abs(at(run.expires_at) - 24 * 60 * minuteMs)).toBeLessThan(30_000);

      expect(await batches()).toEqual([]);
      expect(await jobs()).toEqual([]);
    });

    test("tells that the window is too short", async () => {
      const lines = Array.from({ length: 1000 }, (_, i) => lineOf(`l${i}`, "Why?", { max_tokens: 990 })).join("\n");
      expect((await dryRun(lines, { completion_window: "1h" })).in_completion_window).toBe(false);
      expect((await dryRun(lines, { completion_window: "2h" })).in_completion_window).toBe(true);
    });

    test("reports mistakes as the batch itself would", async () => {
      const content = [
        lineOf("one"),
        "no JSON",
        lineOf("one"),
        lineOf("stream", "x", { stream: true }),
        lineOf("dry", "x", { dry_run: true }),
        lineOf("hook", "x", { webhook_url: "https://example.com" }),
        lineOf("large", "word ".repeat(20_000)),
      ].join("\n");
      const run = await dryRun(content);
      expect(run).toMatchObject({ valid: false, lines: 7, tokens: null, cost_usd: null, quota: null, models: [] });
      expect(run).toMatchObject({ expected_start: null, expected_finish: null, in_completion_window: null });
      const input_file_id = await upload(service, content);
      const { id } = await service.client.batches.create({ input_file_id, endpoint, completion_window: "24h" });
      const { errors } = await untilStatus(service, id, "failed");
      expect(run.errors).toEqual(errors);
      expect(run.errors!.data.map(({ line, param }) => [line, param])).toEqual([
        [2, null],
        [3, "custom_id"],
        [4, "body.stream"],
        [5, "body.dry_run"],
        [6, "body.webhook_url"],
        [7, null],
      ]);
      expect((await dryRun("\n")).errors!.data).toMatchObject([{ code: "empty_file" }]);
    });

    test("what is refused at once is refused here too", async () => {
      const client = service.client.batches;
      const input_file_id = await upload(service, lineOf("one"));
      const body = { input_file_id, endpoint, completion_window: "24h", dry_run: true } as const;
      await expect(client.create({ ...body, input_file_id: "file-x" })).rejects.toMatchObject({ status: 404 });
      await expect(client.create({ ...body, completion_window: "30m" as "24h" })).rejects.toMatchObject({
        status: 400,
      });
    });

    test("sluice/client leaves neither batch nor file", async () => {
      const before = (await service.client.files.list()).data.length;
      const sluice = new SluiceClient({ baseUrl: service.url });
      const run = await sluice.dryRunBatch(["One?", "Two?"], { model: "nova-lite", maxTokens: 10 });
      expect(run).toMatchObject({ valid: true, lines: 2, models: [{ model: "nova-lite" }] });
      expect((await service.client.files.list()).data).toHaveLength(before);
      const single = await sluice.dryRun({ prompt: "One?", environment: "UAT", max_tokens: 10 });
      expect(single).toMatchObject({ dry_run: true, tokens: { max_output: 10 } });
      expect(await jobs()).toEqual([]);
    });
  });
});
