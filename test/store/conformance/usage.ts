import { expect, type TestAPI } from "vitest";
import type { Attempt, AttemptEnd, Job } from "../../../src/domain/job.ts";
import { noUsage, type UsageRow, usageDay } from "../../../src/domain/usage.ts";
import type { BeginAttempt, JobStore } from "../../../src/store/job-store.ts";
import { allPages, beginning, type Era, makeJob, mustBegin, newEra } from "./support.ts";

export function usageCases(store: () => JobStore, test: TestAPI): void {
  async function called(
    fields: Partial<Job>,
    end?: AttemptEnd,
    begin: Partial<BeginAttempt> = {},
  ): Promise<[Job, Attempt]> {
    const job = makeJob(fields);
    await store().insertMany([job]);
    const attempt = await mustBegin(store(), beginning(job, begin));
    if (end) await store().endAttempt(job.environment, job.id, attempt.n, end);
    return [job, attempt];
  }
  async function usageIn(environment: string, era: Era, limit = 1000): Promise<UsageRow[]> {
    const day = usageDay(era.from);
    const query = { environment, fromDay: day, toDay: day, limit };
    return (await allPages((cursor) => store().usage({ ...query, cursor }))).flat();
  }

  test("B6: keeps what attempts used, by day, tenant, key and model, each attempt once", async () => {
    const era = newEra();
    const usage = { input: 10, output: 5, cacheRead: 3, cacheWrite: 2 };
    const completed: AttemptEnd = { result: "completed", at: era.from + 9, usage, costNanoUsd: 7 };
    const of = { submittedAt: era.from, tenant: "acme", keyId: "k1" };
    const [job, { n }] = await called(of, { result: "throttled", at: era.from + 1 });
    // The second attempt is a fallback's.
    const second = await mustBegin(store(), beginning(job, { chargedAt: era.from + 2, model: "other" }));
    await store().finish("UAT", { jobId: job.id, status: "completed", at: 9 }, { n: second.n, end: completed });
    // Every write is repeated, and a late worker reports once more.
    await store().finish("UAT", { jobId: job.id, status: "completed", at: 9 }, { n: second.n, end: completed });
    await store().finish("UAT", { jobId: job.id, status: "failed", at: 9 }, { n, end: completed });
    await store().endAttempt("UAT", job.id, second.n, { ...completed, usage: { input: 1, output: 1 } });
    await called(of, { result: "transient", at: era.from + 1, usage: { input: 1, output: 0 } });
    await called(of, { result: "not_sent", at: era.from + 1 });
    await called({ submittedAt: era.from }, undefined, { reservedNanoUsd: 9 });
    await called({ ...of, environment: "PROD" }, completed);
    await called(of, completed, { chargedAt: era.to });
    await called(of, completed, { chargedAt: era.from - 1 });

    const day = usageDay(era.from);
    const used = { input: 10, output: 5, cacheRead: 3, cacheWrite: 2, nanoUsd: 7 };
    const estimate = { input: 21, output: 100, nanoUsd: 9 };
    const estimated = { estimated: 1, estimatedInput: 21, estimatedOutput: 100, estimatedNanoUsd: 9 };
    const rows = [
      { day, tenant: "acme", keyId: "k1", model: "llama", ...noUsage, jobs: 3, attempts: 2, unpriced: 1, input: 1 },
      { day, tenant: "acme", keyId: "k1", model: "other", ...noUsage, ...used, attempts: 1 },
      { day, tenant: "default", model: "llama", ...noUsage, ...estimate, ...estimated, jobs: 1, attempts: 1, open: 1 },
    ];
    expect(await usageIn("UAT", era)).toEqual(rows);
    expect(await usageIn("UAT", era, 2)).toEqual(rows);
    expect(await usageIn("UAT", era, 1)).toEqual(rows);
    expect(await usageIn("PROD", era)).toEqual([
      { day, tenant: "acme", keyId: "k1", model: "llama", ...noUsage, ...used, jobs: 1, attempts: 1 },
    ]);
    expect((await store().usage({ environment: "UAT", fromDay: 5, toDay: 6, limit: 1 })).items).toEqual([]);
  });

  test("A2: a call that ends after its job was cancelled counts at its estimate until then", async () => {
    const era = newEra();
    const [job, { n }] = await called({ submittedAt: era.from }, undefined, { reservedNanoUsd: 9 });
    await store().finish("UAT", { jobId: job.id, status: "cancelled", at: 9 });
    expect(await usageIn("UAT", era)).toMatchObject([
      { open: 1, estimated: 1, input: 21, output: 100, nanoUsd: 9, estimatedNanoUsd: 9 },
    ]);
    const end: AttemptEnd = { result: "unknown", at: 10, usage: { input: 4, output: 2 }, costNanoUsd: 6 };
    await store().endAttempt("UAT", job.id, n, end);
    expect(await usageIn("UAT", era)).toMatchObject([
      { jobs: 1, attempts: 1, open: 1, estimated: 0, input: 4, output: 2, nanoUsd: 6, estimatedNanoUsd: 0 },
    ]);
  });
}
