import { expect, type TestAPI } from "vitest";
import { lineJobId, newBatchId } from "../../../src/domain/batch.ts";
import type { Job, JobState, Outcome } from "../../../src/domain/job.ts";
import type { JobStore, ListQuery } from "../../../src/store/job-store.ts";
import { allPages, beginning, makeJob, newEra, newestFirst } from "./support.ts";

export function listCases(store: () => JobStore, test: TestAPI): void {
  const idsOf = async (query: Partial<ListQuery>) =>
    (await store().list({ limit: 1_000, ...query })).items.map((item) => item.job.id);

  test("a line has the job without its request, its state, and how it ended", async () => {
    const era = newEra();
    const job = makeJob({ submittedAt: era.from, metadata: { a: "b" }, expiresAt: era.to });
    await store().insertMany([job]);
    const { request: _, ...head } = job;
    expect(await store().list({ limit: 10, ...era.range })).toEqual({ items: [{ job: head, state: "queued" }] });
    const error = { code: "provider_rejected", message: "No." };
    await store().finish("UAT", { jobId: job.id, status: "failed", at: 77, error });
    expect(await store().list({ limit: 10, ...era.range })).toEqual({
      items: [{ job: head, state: "failed", finishedAt: 77, error }],
    });
  });

  test("newest first, and by id among those of one moment, over environments", async () => {
    const era = newEra();
    const jobs = Array.from({ length: 30 }, (_, i) =>
      makeJob({ submittedAt: era.from + Math.floor(i / 10), environment: i % 3 === 0 ? "PROD" : "UAT" }),
    );
    await store().insertMany([...jobs].reverse());
    const expected = [...jobs].sort(newestFirst).map((job) => job.id);
    expect(await idsOf(era.range)).toEqual(expected);
    for (const limit of [1, 7, 10, 30, 31]) {
      const pages = await allPages((cursor) => store().list({ limit, cursor, ...era.range }));
      expect(pages.flat().map((item) => item.job.id)).toEqual(expected);
      expect(pages).toHaveLength(Math.ceil(30 / limit));
    }
  });

  test("each filter, alone and together", async () => {
    const era = newEra();
    const jobs: { job: Job; state: JobState }[] = [];
    for (const environment of ["UAT", "PROD"])
      for (const tenant of ["a", "b"])
        for (const model of ["m1", "m2"])
          for (const priority of ["interactive", "batch"] as const)
            for (const state of ["queued", "in_progress", "completed", "expired"] as const)
              jobs.push({
                job: makeJob({ environment, tenant, model, priority, submittedAt: era.from + jobs.length }),
                state,
              });
    await store().insertMany(jobs.map(({ job }) => job));
    for (const { job, state } of jobs) {
      if (state === "in_progress") await store().beginAttempt(beginning(job));
      if (state === "completed" || state === "expired") {
        await store().finish(job.environment, { jobId: job.id, status: state, at: 1 } satisfies Outcome);
      }
    }
    const choices = <T>(...values: T[]) => [undefined, ...values];
    for (const environment of choices("UAT"))
      for (const tenant of choices("b"))
        for (const model of choices("m1"))
          for (const priority of choices("batch" as const))
            for (const state of choices("queued" as const, "completed" as const, "failed" as const)) {
              const query = { environment, tenant, model, priority, state };
              const expected = jobs
                .filter(
                  (j) =>
                    (environment === undefined || j.job.environment === environment) &&
                    (tenant === undefined || j.job.tenant === tenant) &&
                    (model === undefined || j.job.model === model) &&
                    (priority === undefined || j.job.priority === priority) &&
                    (state === undefined || j.state === state),
                )
                .map((j) => j.job.id)
                .reverse();
              expect(await idsOf({ ...query, ...era.range }), JSON.stringify(query)).toEqual(expected);
            }
  });

  test("the time range has its start and not its end", async () => {
    const era = newEra();
    const jobs = [0, 1, 2, 3].map((i) => makeJob({ submittedAt: era.from + i }));
    await store().insertMany(jobs);
    const range = { submittedFrom: era.from + 1, submittedTo: era.from + 3 };
    expect(await idsOf(range)).toEqual([jobs[2]!.id, jobs[1]!.id]);
    expect(await idsOf({ ...range, submittedTo: era.from + 1 })).toEqual([]);
    const pages = await allPages((cursor) => store().list({ ...range, limit: 1, cursor }));
    expect(pages.flat().map((item) => item.job.id)).toEqual([jobs[2]!.id, jobs[1]!.id]);
  });

  test("F9: the lines of a batch, last ones first, with the other filters", async () => {
    const submittedAt = newEra().from;
    const [batchId, other] = [newBatchId(), newBatchId()];
    const lines = Array.from({ length: 7 }, (_, i) =>
      makeJob({ id: lineJobId(batchId, i + 1), submittedAt, batchId, model: i % 2 === 0 ? "m1" : "m2" }),
    );
    await store().insertMany([makeJob({ id: lineJobId(other, 1), submittedAt, batchId: other }), ...lines]);
    await store().finish("UAT", { jobId: lines[2]!.id, status: "cancelled", at: 1 });
    const range = { environment: "UAT", submittedAt, from: lineJobId(batchId, 0), to: lineJobId(batchId, 0xffff_ffff) };
    const query = { environment: "UAT", lines: range };
    const ids = lines.map(({ id }) => id).reverse();
    expect(await idsOf(query)).toEqual(ids);
    expect(await idsOf({ ...query, state: "cancelled" })).toEqual([lines[2]!.id]);
    expect(await idsOf({ ...query, model: "m2" })).toEqual([lines[5]!.id, lines[3]!.id, lines[1]!.id]);
    expect(await idsOf({ ...query, submittedFrom: submittedAt + 1 })).toEqual([]);
    expect(await idsOf({ ...query, submittedTo: submittedAt })).toEqual([]);
    const pages = await allPages((cursor) => store().list({ ...query, limit: 2, cursor }));
    expect(pages.flat().map((item) => item.job.id)).toEqual(ids);
  });

  test("F9: jobs that have all of some labels", async () => {
    const era = newEra();
    const labels: (Record<string, string> | undefined)[] = [
      { a: "1" },
      { a: "1", b: "2" },
      { a: "2", b: "2" },
      undefined,
      { a: "1", b: "2", c: "" },
      { '"]': "$.x" },
    ];
    const jobs = labels.map((metadata, i) => makeJob({ submittedAt: era.from + i, ...(metadata && { metadata }) }));
    await store().insertMany(jobs);
    const with_ = (metadata: Record<string, string>) => idsOf({ ...era.range, metadata });
    const idsAt = (...at: number[]) => at.map((i) => jobs[i]!.id);
    expect(await with_({ a: "1" })).toEqual(idsAt(4, 1, 0));
    expect(await with_({ a: "1", b: "2" })).toEqual(idsAt(4, 1));
    expect(await with_({ c: "" })).toEqual(idsAt(4));
    expect(await with_({ '"]': "$.x" })).toEqual(idsAt(5));
    const absent: Record<string, string>[] = [{ toString: "1" }, { a: "3" }, { d: "1" }];
    for (const none of absent) {
      expect(await with_(none)).toEqual([]);
    }
    const pages = await allPages((cursor) => store().list({ ...era.range, metadata: { a: "1" }, limit: 1, cursor }));
    expect(pages.flat().map((item) => item.job.id)).toEqual(idsAt(4, 1, 0));
  });

  test("jobs that ended with an error code", async () => {
    const era = newEra();
    const jobs = Array.from({ length: 5 }, (_, i) =>
      makeJob({ submittedAt: era.from + i, ...(i === 4 && { metadata: { a: "1" } }) }),
    );
    await store().insertMany(jobs);
    const failure = (code: string) => ({ status: "failed" as const, at: 1, error: { code, message: "no" } });
    await store().finish("UAT", { jobId: jobs[0]!.id, ...failure("context_exceeded") });
    await store().finish("UAT", { jobId: jobs[1]!.id, ...failure("tries_exhausted") });
    await store().finish("UAT", { jobId: jobs[2]!.id, ...failure("context_exceeded"), status: "cancelled" });
    await store().finish("UAT", { jobId: jobs[4]!.id, ...failure("context_exceeded") });
    const query = { ...era.range, error: "context_exceeded" };
    expect(await idsOf(query)).toEqual([4, 2, 0].map((i) => jobs[i]!.id));
    expect(await idsOf({ ...query, state: "failed" })).toEqual([4, 0].map((i) => jobs[i]!.id));
    expect(await idsOf({ ...query, metadata: { a: "1" } })).toEqual([jobs[4]!.id]);
    expect(await idsOf({ ...era.range, error: "constructor" })).toEqual([]);
    const pages = await allPages((cursor) => store().list({ ...query, state: "failed", limit: 1, cursor }));
    expect(pages.flat().map((item) => item.job.id)).toEqual([4, 0].map((i) => jobs[i]!.id));
  });

  test("pages neither repeat nor leave out a job while new ones arrive and old ones end", async () => {
    const era = newEra();
    const jobs = Array.from({ length: 20 }, (_, i) => makeJob({ submittedAt: era.from + i }));
    await store().insertMany(jobs);
    let round = 0;
    const pages = await allPages(
      (cursor) => store().list({ limit: 3, cursor, ...era.range }),
      async () => {
        await store().insertMany([makeJob({ submittedAt: era.from + 1_000 + round })]);
        await store().finish("UAT", { jobId: jobs[round++]!.id, status: "cancelled", at: 1 });
      },
    );
    expect(pages.flat().map((item) => item.job.id)).toEqual(jobs.map((job) => job.id).reverse());
  });

  test("a cursor that the store did not make is refused", async () => {
    const other = Buffer.from('["a","b"]').toString("base64url");
    for (const cursor of ["", "x", "null", other, Buffer.from("[1]").toString("base64url"), "\u0000"]) {
      await expect(store().list({ limit: 1, cursor })).rejects.toMatchObject({ code: "invalid_request" });
      await expect(store().unfinished({ limit: 1, cursor })).rejects.toMatchObject({ code: "invalid_request" });
      await expect(store().attemptsSince({ chargedFrom: 0, limit: 1, cursor })).rejects.toMatchObject({
        code: "invalid_request",
      });
    }
  });

  test("limits are bounded", async () => {
    for (const limit of [0, -1, 1.5, Number.NaN, 10_001]) {
      await expect(store().list({ limit })).rejects.toMatchObject({ code: "invalid_request" });
      await expect(store().unfinished({ limit })).rejects.toMatchObject({ code: "invalid_request" });
      await expect(store().attemptsSince({ chargedFrom: 0, limit })).rejects.toMatchObject({ code: "invalid_request" });
    }
    await expect(store().list({ limit: 1_001 })).rejects.toMatchObject({ code: "invalid_request" });
  });
}
