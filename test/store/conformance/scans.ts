import { expect, type TestAPI } from "vitest";
import type { JobStore, UnfinishedQuery } from "../../../src/store/job-store.ts";
import { allPages, beginning, makeJob, mustBegin, newEra } from "./support.ts";

export function scanCases(store: () => JobStore, test: TestAPI): void {
  const unfinishedIds = async (query: Partial<UnfinishedQuery>) =>
    (await store().unfinished({ limit: 10_000, ...query })).items.map((item) => item.job.id);

  test("unfinished jobs come oldest first, waiting and running ones together, over environments", async () => {
    const era = newEra();
    const jobs = Array.from({ length: 24 }, (_, i) =>
      makeJob({ submittedAt: era.from + Math.floor(i / 8), environment: i % 2 ? "PROD" : "UAT" }),
    );
    await store().insertMany([...jobs].reverse());
    for (const job of jobs.filter((_, i) => i % 3 === 0)) await store().beginAttempt(beginning(job));
    const ended = jobs.filter((_, i) => i % 4 === 1);
    for (const job of ended) {
      await store().finish(job.environment, { jobId: job.id, status: "completed", at: 1, text: "x" });
    }
    const expected = jobs
      .map((job, i) => ({ job, state: i % 3 === 0 ? "in_progress" : "queued" }))
      .filter(({ job }) => !ended.includes(job))
      .sort((a, b) => a.job.submittedAt - b.job.submittedAt || (a.job.id < b.job.id ? -1 : 1))
      .map(({ job: { request: _, ...head }, state }) => ({ job: head, state }));
    expect(await store().unfinished({ limit: 100, ...era.range })).toEqual({ items: expected });
    for (const limit of [1, 5, expected.length]) {
      const pages = await allPages((cursor) => store().unfinished({ limit, cursor, ...era.range }));
      expect(pages.flat()).toEqual(expected);
    }
    const uat = expected.filter((e) => e.job.environment === "UAT");
    expect(await store().unfinished({ limit: 100, environment: "UAT", ...era.range })).toEqual({ items: uat });
  });

  test("the time range has its start and not its end", async () => {
    const era = newEra();
    const jobs = [0, 1, 2, 3].map((i) => makeJob({ submittedAt: era.from + i }));
    await store().insertMany(jobs);
    const range = { submittedFrom: era.from + 1, submittedTo: era.from + 3 };
    expect(await unfinishedIds(range)).toEqual([jobs[1]!.id, jobs[2]!.id]);
    const pages = await allPages((cursor) => store().unfinished({ ...range, limit: 1, cursor }));
    expect(pages.flat().map((item) => item.job.id)).toEqual([jobs[1]!.id, jobs[2]!.id]);
  });

  test("deadlines up to a time: only unfinished jobs that have one", async () => {
    const era = newEra();
    const deadlines = [era.from + 50, undefined, era.from + 10, era.from + 30, era.from + 31];
    const jobs = deadlines.map((expiresAt, i) =>
      makeJob({ submittedAt: era.from + i, ...(expiresAt !== undefined && { expiresAt }) }),
    );
    await store().insertMany(jobs);
    await store().beginAttempt(beginning(jobs[3]!));
    const expired = (expiresUntil: number) => unfinishedIds({ expiresUntil, ...era.range });
    expect(await expired(era.from + 9)).toEqual([]);
    expect(await expired(era.from + 30)).toEqual([jobs[2]!.id, jobs[3]!.id]);
    expect(await expired(era.from + 50)).toEqual([0, 2, 3, 4].map((i) => jobs[i]!.id));
    const pages = await allPages((cursor) =>
      store().unfinished({ limit: 1, cursor, expiresUntil: era.from + 50, ...era.range }),
    );
    expect(pages.flat().map((item) => item.job.id)).toEqual([0, 2, 3, 4].map((i) => jobs[i]!.id));
    await store().finish("UAT", { jobId: jobs[2]!.id, status: "expired", at: 1 });
    expect(await expired(era.from + 30)).toEqual([jobs[3]!.id]);
  });

  test("a job that stays unfinished is in every scan, whatever happens to it meanwhile", async () => {
    const era = newEra();
    // So many that others write while a scan is under way.
    const jobs = Array.from({ length: 3_000 }, (_, i) => makeJob({ submittedAt: era.from + i }));
    await store().insertMany(jobs);
    const restless = jobs.filter((_, i) => i % 75 === 0);
    let busy = true;
    const flipping = (async () => {
      // Each job goes into progress and back, over and over.
      for (let n = 1; busy; n++) {
        await Promise.all(
          restless.map(async (job) => {
            await mustBegin(store(), beginning(job));
            await store().endAttempt("UAT", job.id, n, { result: "throttled", at: n });
          }),
        );
      }
    })();
    try {
      const ids = jobs.map((job) => job.id);
      for (let i = 0; i < 20; i++) expect(await unfinishedIds(era.range)).toEqual(ids);
    } finally {
      busy = false;
      await flipping;
    }
  });

  test("attempts come in the order of their charges, from a time on, over environments", async () => {
    const far = Date.UTC(2200, 0, 1);
    const jobs = Array.from({ length: 6 }, (_, i) => makeJob({ environment: i % 2 ? "PROD" : "UAT" }));
    await store().insertMany(jobs);
    const attempts = [];
    for (const [i, job] of jobs.entries()) {
      for (const n of [1, 2]) {
        attempts.push(await mustBegin(store(), beginning(job, { chargedAt: far + ((i * 7 + n) % 5) })));
      }
    }
    const end = { result: "completed", at: far, usage: { input: 1, output: 2 } } as const;
    await store().finish("UAT", { jobId: jobs[0]!.id, status: "completed", at: far, text: "x" }, { n: 1, end });
    attempts[0]!.end = end;
    const expected = attempts.sort(
      (a, b) => a.chargedAt - b.chargedAt || (a.jobId < b.jobId ? -1 : a.jobId > b.jobId ? 1 : a.n - b.n),
    );
    expect(await store().attemptsSince({ chargedFrom: far, limit: 100 })).toEqual({ items: expected });
    const later = expected.filter((a) => a.chargedAt >= far + 2);
    expect(await store().attemptsSince({ chargedFrom: far + 2, limit: 100 })).toEqual({ items: later });
    for (const limit of [1, 5, 12]) {
      const pages = await allPages((cursor) => store().attemptsSince({ chargedFrom: far, limit, cursor }));
      expect(pages.flat()).toEqual(expected);
    }
    expect(await store().attemptsSince({ chargedFrom: far + 100, limit: 1 })).toEqual({ items: [] });
  });
}
