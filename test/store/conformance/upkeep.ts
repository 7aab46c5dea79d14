import { expect, type TestAPI } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import type { Job } from "../../../src/domain/job.ts";
import { type UsageRow, usageDay } from "../../../src/domain/usage.ts";
import { pagesOf } from "../../../src/store/cursor.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { firstUsageDay, type TenantFilter } from "../../../src/store/upkeep-store.ts";
import { allPages, beginning, makeJob, mustBegin, newEra } from "./support.ts";

const dayMs = 86_400_000;
/** Days that are over. Each case has tenants of its own, because other cases may use the same days. */
const pastDay = (n: number) => ({ from: Date.UTC(2026, 1, n), to: Date.UTC(2026, 1, n) + dayMs });

/** Inserts a job that ends at a time, after one attempt at the time of its submission. */
async function ended(store: JobStore, at: number, fields: Partial<Job> = {}): Promise<Job> {
  const job = makeJob({ submittedAt: at - 2, ...fields });
  await store.insertMany([job]);
  const { n } = await mustBegin(store, beginning(job));
  const end = { result: "completed", at, usage: { input: 3, output: 4 }, costNanoUsd: 5 } as const;
  await store.finish(job.environment, { jobId: job.id, status: "completed", at, text: "x" }, { n, end });
  return job;
}

async function removeAttempts(store: JobStore, chargedTo: number, tenants: TenantFilter, limit = 50): Promise<number> {
  let removed = 0;
  let cursor: string | undefined;
  do {
    const step = await store.upkeep.removeAttempts({ environment: "UAT", tenants, chargedTo, limit, cursor });
    removed += step.removed;
    cursor = step.next;
  } while (cursor !== undefined);
  return removed;
}

async function attemptsIn(store: JobStore, { from, to }: { from: number; to: number }): Promise<string[]> {
  const found: string[] = [];
  for await (const page of pagesOf((cursor) =>
    store.attemptsSince({ chargedFrom: from, limit: 100, ...(cursor !== undefined && { cursor }) }),
  )) {
    found.push(...page.filter(({ chargedAt }) => chargedAt < to).map(({ jobId, n }) => `${jobId}/${n}`));
  }
  return found;
}

/** Returns what the tenants of these cases have used on a day. */
async function usageOf(store: JobStore, { from }: { from: number }): Promise<UsageRow[]> {
  const query = { environment: "UAT", fromDay: usageDay(from), toDay: usageDay(from), limit: 1_000 };
  return (await store.usage(query)).items.filter(({ tenant }) => tenant.startsWith("upkeep"));
}

export function upkeepCases(store: () => JobStore, test: TestAPI): void {
  test("ended jobs are listed in the order of their ends, page by page", async () => {
    const { from, to } = newEra();
    const jobs: Job[] = [];
    for (const after of [30, 10, 20, 20]) jobs.push(await ended(store(), from + after));
    await ended(store(), from + 20, { environment: "PROD" });
    const waiting = makeJob({ submittedAt: from });
    await store().insertMany([waiting]);
    const expected = jobs
      .map((job) => ({ job, finishedAt: job.submittedAt + 2 }))
      .sort((a, b) => a.finishedAt - b.finishedAt || (a.job.id < b.job.id ? -1 : 1))
      .map(({ job: { request: _, ...job }, finishedAt }) => ({ job, finishedAt }));
    const range = { environment: "UAT", finishedFrom: from, finishedTo: to };
    const pages = await allPages((cursor) => store().upkeep.ended({ ...range, limit: 3, cursor }));
    expect(pages).toEqual([expected.slice(0, 3), expected.slice(3)]);
    const early = await store().upkeep.ended({ ...range, finishedTo: from + 20, limit: 3 });
    expect(early).toEqual({ items: expected.slice(0, 1) });
    const late = await store().upkeep.ended({ ...range, finishedFrom: from + 30, limit: 3 });
    expect(late).toEqual({ items: expected.slice(3) });
    await expect(store().upkeep.ended({ ...range, environment: "nowhere", limit: 3 })).rejects.toMatchObject({
      code: "unknown_environment",
    });
  });

  test("attempts of ended and of removed jobs go; usage stays", async () => {
    const era = pastDay(1);
    const own = { tenant: "upkeep" };
    const [kept, removed] = [await ended(store(), era.from + 10, own), await ended(store(), era.from + 20, own)];
    const other = await ended(store(), era.from + 30, { tenant: "upkeep-other" });
    const elsewhere = await ended(store(), era.from + 30, { ...own, environment: "PROD" });
    // A job that waits again, and one whose last attempt is younger.
    const waiting = makeJob({ ...own, submittedAt: era.from });
    const young = makeJob({ ...own, submittedAt: era.from });
    await store().insertMany([waiting, young]);
    for (const job of [waiting, young]) {
      const { n } = await mustBegin(store(), beginning(job));
      await store().endAttempt("UAT", job.id, n, { result: "throttled", at: era.from });
    }
    await mustBegin(store(), beginning(young, { chargedAt: era.from + 1_000 }));
    await store().finish("UAT", { jobId: young.id, status: "completed", at: era.from + 1_001, text: "x" });
    await store().remove("UAT", removed.id);
    const usage = () => usageOf(store(), era);
    const before = await usage();
    expect(before.map(({ tenant, attempts }) => [tenant, attempts])).toEqual([
      ["upkeep", 5],
      ["upkeep-other", 1],
    ]);

    const only = { only: ["upkeep"] };
    expect(await removeAttempts(store(), era.from, only)).toBe(0);
    expect(await removeAttempts(store(), era.from + 1_000, only)).toBe(2);
    const left = [waiting.id, young.id, other.id, elsewhere.id].map((id) => `${id}/1`);
    expect((await attemptsIn(store(), era)).sort()).toEqual([...left, `${young.id}/2`].sort());
    expect((await store().get(kept.id))?.attempts).toEqual([]);
    expect((await store().get(waiting.id))?.attempts).toHaveLength(1);
    expect(await usage()).toEqual(before);
    expect(await removeAttempts(store(), era.from + 1_000, { except: ["upkeep"] })).toBeGreaterThan(0);
    expect(await removeAttempts(store(), era.from + 2_000, only, 2)).toBe(2);
    expect((await attemptsIn(store(), era)).sort()).toEqual([`${waiting.id}/1`, `${elsewhere.id}/1`].sort());
    expect(await usage()).toEqual(before);
    // The job that waits counts its attempts as before.
    expect(await mustBegin(store(), beginning(waiting))).toMatchObject({ n: 2 });
  });

  test("sums of usage go by tenant, up to a day", async () => {
    const [first, second] = [pastDay(2), pastDay(3)];
    for (const { from } of [first, second]) {
      await ended(store(), from + 10, { tenant: "upkeep-a" });
      await ended(store(), from + 10, { tenant: "upkeep-b" });
    }
    const tenants = async (day: typeof first) => (await usageOf(store(), day)).map(({ tenant }) => tenant);
    expect(await tenants(first)).toEqual(["upkeep-a", "upkeep-b"]);
    const toDay = usageDay(first.from);
    expect(toDay).toBeGreaterThanOrEqual(firstUsageDay);
    const onlyA = { environment: "UAT", toDay, tenants: { only: ["upkeep-a"] } };
    expect(await store().upkeep.removeUsage(onlyA)).toBe(1);
    expect(await store().upkeep.removeUsage(onlyA)).toBe(0);
    expect([await tenants(first), await tenants(second)]).toEqual([["upkeep-b"], ["upkeep-a", "upkeep-b"]]);
    await store().upkeep.removeUsage({ ...onlyA, tenants: { except: ["upkeep-a"] } });
    expect([await tenants(first), await tenants(second)]).toEqual([[], ["upkeep-a", "upkeep-b"]]);
  });

  test("the size is known, and free space can be returned until there is none", async () => {
    expect((await store().upkeep.size()).bytes).toBeGreaterThan(0);
    const job = await ended(store(), newEra().from + 10);
    await store().remove("UAT", job.id);
    let left = await store().upkeep.reclaim();
    while (left > 0) left = await store().upkeep.reclaim();
    expect((await store().upkeep.size()).freeBytes).toBe(0);
    expect(await store().get(newJobId())).toBeUndefined();
  });
}
