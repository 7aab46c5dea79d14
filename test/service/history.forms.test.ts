// The history of a whole service: it has what happened, survives a restart, and is the same from every process.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { SluiceClient } from "../../src/client/index.ts";
import { minuteMs, startOf } from "../../src/jobs/history/history-records.ts";
import type { Service } from "../../src/service/start-service.ts";
import type { HistoryResource } from "../../src/wire/history-resource.ts";
import { startTestService, type TestService } from "../batches/support.ts";
import { describeForm } from "../support/forms.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

describeForm((mode) => {
  let service: TestService;
  const others: Service[] = [];
  beforeAll(async () => {
    service = await startTestService(mode);
  });
  afterAll(async () => {
    await Promise.all(others.map((other) => other.stop()));
    await service?.close();
  });

  /** Starts another process of the distributed form. The embedded form has only one. */
  async function another(): Promise<string[]> {
    if (mode === "embedded") return [];
    const other = await service.another();
    others.push(other);
    return [other.url!];
  }

  const total = (column: (number | null)[]) => column.reduce<number>((sum, value) => sum + (value ?? 0), 0);

  test("what all processes did is there after a restart, the same from each", async () => {
    const from = new Date(startOf(Date.now(), minuteMs)).toISOString();
    const urls = [service.url, ...(await another())];
    for (const baseUrl of urls) {
      const client = new SluiceClient({ baseUrl });
      const accepted = await Promise.all(
        Array.from({ length: 4 }, () => client.submit({ prompt: "hello", environment: "UAT" })),
      );
      await Promise.all(accepted.map(({ job_id }) => client.wait(job_id)));
      const later = await client.submit({
        prompt: "x",
        environment: "PROD",
        priority: "batch",
        not_before: 600,
      });
      await client.cancel(later.job_id);
    }
    for (const other of others.splice(0)) await other.stop();
    await service.restart();

    const to = new Date(Date.now() + minuteMs).toISOString();
    const read = async (url: string) =>
      (await (await fetch(`${url}/v1/history?${new URLSearchParams({ from, to })}`)).json()) as HistoryResource;
    const history = await read(service.url);
    for (const url of await another()) expect(await read(url)).toEqual(history);

    const n = urls.length;
    const [deployment] = Object.values(service.settings.models)[0]!.deployments;
    expect(history.calls).toHaveLength(1);
    const [calls] = history.calls;
    expect(calls).toMatchObject({ deployment: deployment!.id });
    expect([calls!.attempts, calls!.completed, calls!.output_tokens].map(total)).toEqual([4 * n, 4 * n, 20 * n]);
    const counts = history.queues.map(({ environment, priority, submitted, completed, cancelled }) => [
      ...[environment, priority],
      ...[submitted, completed, cancelled].map(total),
    ]);
    expect(counts).toEqual([
      ["PROD", "batch", n, 0, n],
      ["UAT", "standard", 4 * n, 4 * n, 0],
    ]);
    expect(history.queues[1]!.waited_p95_s.some((seconds) => seconds !== null)).toBe(true);
    for (const quota of history.quotas) expect(total(quota.requests)).toBe(4 * n);
  });
});
