import { expect, type TestAPI } from "vitest";
import type { Attempt, AttemptEnd, Job } from "../../../src/domain/job.ts";
import { noUsage, type UsageRow } from "../../../src/domain/usage.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { beginning, makeJob, mustBegin, newEra } from "./support.ts";

export function usageCases(store: () => JobStore, test: TestAPI): void {
  async function called(fields: Partial<Job>, end?: AttemptEnd, chargedAt?: number): Promise<[Job, Attempt]> {
    const job = makeJob(fields);
    await store().insertMany([job]);
    const attempt = await mustBegin(store(), beginning(job, { chargedAt: chargedAt ?? job.submittedAt }));
    if (end) await store().endAttempt(job.environment, job.id, attempt.n, end);
    return [job, attempt];
  }
  const sorted = (rows: UsageRow[]) => rows.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

  test("adds up what attempts used, by tenant, key and model, each once", async () => {
    const era = newEra();
    const usage = { input: 10, output: 5, cacheRead: 3, cacheWrite: 2 };
    const completed: AttemptEnd = { result: "completed", at: era.from + 9, usage, costNanoUsd: 7 };
    const of = { submittedAt: era.from, tenant: "acme", keyId: "k1" };
    const [job, { n }] = await called(of, { result: "throttled", at: era.from + 1 });
    // The second attempt is a fallback's.
    const second = await mustBegin(store(), beginning(job, { chargedAt: era.from + 2, model: "other" }));
    await store().finish("UAT", { jobId: job.id, status: "completed", at: 9 }, { n: second.n, end: completed });
    // Everything is said twice, and once more by somebody who came too late.
    await store().finish("UAT", { jobId: job.id, status: "completed", at: 9 }, { n: second.n, end: completed });
    await store().finish("UAT", { jobId: job.id, status: "failed", at: 9 }, { n, end: completed });
    await store().endAttempt("UAT", job.id, second.n, { ...completed, usage: { input: 1, output: 1 } });
    await called(of, { result: "transient", at: era.from + 1, usage: { input: 1, output: 0 } });
    await called(of, { result: "not_sent", at: era.from + 1 });
    await called({ submittedAt: era.from });
    await called({ ...of, environment: "PROD" }, completed);
    await called(of, completed, era.to);
    await called(of, completed, era.from - 1);

    const range = { chargedFrom: era.from, chargedTo: era.to };
    const rows = await store().usage({ environment: "UAT", ...range });
    const used = { input: 10, output: 5, cacheRead: 3, cacheWrite: 2, nanoUsd: 7 };
    expect(sorted(rows)).toEqual(
      sorted([
        { tenant: "acme", keyId: "k1", model: "llama", ...noUsage, jobs: 3, attempts: 2, unpriced: 1, input: 1 },
        { tenant: "acme", keyId: "k1", model: "other", ...noUsage, ...used, attempts: 1 },
        { tenant: "default", model: "llama", ...noUsage, jobs: 1, attempts: 1, open: 1 },
      ]),
    );
    expect(await store().usage({ environment: "PROD", ...range })).toEqual([
      { tenant: "acme", keyId: "k1", model: "llama", ...noUsage, ...used, jobs: 1, attempts: 1 },
    ]);
    expect(await store().usage({ environment: "UAT", chargedFrom: 5, chargedTo: 6 })).toEqual([]);
  });

  test("a call that ends after its job was cancelled counts", async () => {
    const era = newEra();
    const [job, { n }] = await called({ submittedAt: era.from });
    await store().finish("UAT", { jobId: job.id, status: "cancelled", at: 9 });
    const read = () => store().usage({ environment: "UAT", chargedFrom: era.from, chargedTo: era.to });
    expect(await read()).toMatchObject([{ open: 1, input: 0 }]);
    const end: AttemptEnd = { result: "aborted", at: 10, usage: { input: 4, output: 2 }, costNanoUsd: 6 };
    await store().endAttempt("UAT", job.id, n, end);
    expect(await read()).toMatchObject([{ jobs: 1, attempts: 1, open: 0, input: 4, output: 2, nanoUsd: 6 }]);
  });
}
