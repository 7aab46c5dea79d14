// While its lines wait for a quota, a batch says how many are done and when the last one is expected to start and to end.
import { expect, test, vi } from "vitest";
import { createBatch, lineOf, startTestService } from "./support.ts";

test("nine lines at three a minute: the last three start two minutes after the first", async () => {
  const quotas = [{ unit: "requests" as const, per: "minute" as const, limit: 3 }];
  const deployment = { region: "us-east-1", modelId: "us.meta.llama3-3-70b-instruct-v1:0", quotas };
  const service = await startTestService("embedded", {
    file: { models: { "llama3-3-70b": { maxOutputTokens: 100, deployments: [deployment] } } },
  });
  try {
    const startedAt = Date.now() / 1000;
    const { id } = await createBatch(service, Array.from({ length: 9 }, (_, i) => lineOf(`${i}`)).join("\n"));
    const batch = await vi.waitFor(
      async () => {
        const found = (await service.client.batches.retrieve(id)) as unknown as Record<string, unknown>;
        expect(found.progress).toMatchObject({ completed: 3, queued: 6 });
        expect(found.eta).toEqual(expect.any(Number));
        // Once it is known how long calls take.
        expect(found.expected_finish).toBeGreaterThanOrEqual(found.eta as number);
        return found;
      },
      { timeout: 20_000 },
    );
    expect(batch).toMatchObject({ status: "in_progress", request_counts: { total: 9, completed: 3, failed: 0 } });
    expect(batch).toMatchObject({ position: 6, waiting_on: { kind: "quota", message: expect.any(String) } });
    // The model of the test has a price. A list omits the cost.
    const { cost_usd_so_far: soFar, cost_usd_expected: expected } = batch as Record<string, number>;
    expect(soFar).toBeGreaterThan(0);
    expect(expected).toBeCloseTo(3 * soFar!, 8);
    expect(batch.cost_sampled_lines).toBe(3);
    expect((await service.client.batches.list()).data[0]).not.toHaveProperty("cost_usd_so_far");
    const waits = (batch.eta as number) - startedAt;
    expect(waits).toBeGreaterThan(115);
    expect(waits).toBeLessThan(150);
    const { body } = await fetch(`${service.url}/v1/batches/${id}/results`).then(async (r) => ({
      body: await r.text(),
    }));
    expect(
      body
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).line),
    ).toEqual([1, 2, 3]);
  } finally {
    await service.close();
  }
});
