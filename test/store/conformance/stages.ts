import fc from "fast-check";
import { expect, type TestAPI } from "vitest";
import type { Job } from "../../../src/domain/job.ts";
import type { JobStore, StagedJobs } from "../../../src/store/job-store.ts";
import { anyJob } from "./inserts.ts";
import { makeJob, newEra } from "./support.ts";

async function stageAll(staged: StagedJobs, jobs: readonly Job[]): Promise<void> {
  for (const job of jobs) await staged.add(job);
  await staged.ready();
}

/** @param store one that can lay jobs ready */
export function stageCases(store: () => JobStore, test: TestAPI): void {
  const stage = (environment = "UAT") => store().stage!(environment);

  test("what is laid ready is no job, for nobody, until it is made one", async () => {
    const era = newEra();
    const jobs = [0, 1, 2].map((i) => makeJob({ submittedAt: era.from + i }));
    const before = await store().counts();
    const staged = stage();
    await stageAll(staged, jobs);
    expect(await store().get(jobs[0]!.id)).toBeUndefined();
    expect(await store().counts()).toEqual(before);
    expect(await store().list({ ...era.range, limit: 10 })).toEqual({ items: [] });

    expect(await staged.insert(2)).toEqual([]);
    const record = { state: "queued", attempts: [] };
    expect(await store().get(jobs[1]!.id)).toEqual({ job: jobs[1], ...record });
    expect(await store().get(jobs[2]!.id)).toBeUndefined();
    expect((await store().counts()).UAT!.queued).toBe(before.UAT!.queued + 2);

    await staged.drop();
    expect(await store().get(jobs[2]!.id)).toBeUndefined();
    expect((await store().list({ ...era.range, limit: 10 })).items).toHaveLength(2);
  });

  test("a job that is there already is left as it is, and told of", async () => {
    const [a, b, c] = [makeJob(), makeJob(), makeJob()] as const;
    await store().insertMany([b]);
    const staged = stage();
    await stageAll(staged, [a, { ...b, tenant: "other" }, c]);
    expect(await staged.insert(3)).toEqual([b.id]);
    for (const job of [a, b, c]) expect((await store().get(job.id))?.job).toEqual(job);
    await staged.drop();
  });

  test("several stages at a time, in one environment and in two, do not mix", async () => {
    const jobs = ["UAT", "UAT", "PROD"].map((environment) => [makeJob({ environment }), makeJob({ environment })]);
    const stages = jobs.map(([job]) => stage(job!.environment));
    for (const i of [0, 1]) {
      for (const [s, staged] of stages.entries()) await staged.add(jobs[s]![i]!);
    }
    await Promise.all(stages.map((staged) => staged.ready()));
    await stages[0]!.drop();
    const inserted = await Promise.all(stages.slice(1).map((staged) => staged.insert(2)));
    expect(inserted).toEqual([[], []]);
    for (const job of jobs.slice(1).flat()) expect((await store().get(job.id))?.job).toEqual(job);
    expect(await store().get(jobs[0]![0]!.id)).toBeUndefined();
    await Promise.all(stages.slice(1).map((staged) => staged.drop()));
  });

  test("an environment that the store does not have is refused", () => {
    expect(() => stage("DEV")).toThrow("DEV");
  });

  test("whatever is staged, in whatever parts, ends as if it had been inserted", { timeout: 60_000 }, async () => {
    const plan = fc.record({
      jobs: fc.uniqueArray(anyJob, { maxLength: 8, selector: ({ id }) => id }),
      known: fc.array(fc.nat(7), { maxLength: 3 }),
      part: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ jobs, known, part }) => {
        const before = jobs.filter((_, i) => known.includes(i));
        await store().insertMany(before);
        const staged = stage();
        await stageAll(staged, jobs);
        const parts: Promise<unknown[]>[] = [];
        for (let from = 0; from < jobs.length; from += part)
          parts.push(staged.insert(Math.min(part, jobs.length - from)));
        expect((await Promise.all(parts)).flat()).toEqual(before.map(({ id }) => id));
        for (const job of jobs) expect((await store().get(job.id))?.job).toEqual(job);
        await staged.drop();
      }),
      { numRuns: 50 },
    );
  });
}
