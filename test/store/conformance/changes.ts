import { expect, type TestAPI } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import type { AttemptEnd } from "../../../src/domain/job.ts";
import { usageDay } from "../../../src/domain/usage.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { beginning, begun, makeJob, newEra } from "./support.ts";

export function changeCases(store: () => JobStore, test: TestAPI): void {
  test("remove: the job is gone from everywhere, what its calls used is not", async () => {
    const era = newEra();
    const end: AttemptEnd = {
      result: "completed",
      at: era.from,
      usage: { input: 20, output: 5 },
      costNanoUsd: 7,
      error: { code: "x", message: "the secret" },
    };
    const { job, attempt } = await begun(store(), { submittedAt: era.from, tenant: "gone" });
    const outcome = { jobId: job.id, status: "completed", at: era.from, text: "the answer" } as const;
    await store().finish("UAT", outcome, { n: 1, end });
    const before = (await store().counts()).UAT!;
    for (let times = 1; times <= 2; times++) {
      await store().remove("UAT", job.id);
      expect(await store().get(job.id)).toBeUndefined();
    }
    const query = { environment: "UAT", ...era.range, limit: 10 };
    expect((await store().list(query)).items).toEqual([]);
    expect((await store().unfinished(query)).items).toEqual([]);
    expect((await store().getRequests("UAT", [job.id])).size).toBe(0);
    await expect
      .poll(async () => (await store().counts()).UAT!.completed, { timeout: 15_000 })
      .toBe(before.completed - 1);
    const { error: _, ...silent } = end;
    const { items } = await store().attemptsSince({ chargedFrom: era.from, limit: 1 });
    expect(items).toEqual([{ ...attempt, end: silent }]);
    const day = usageDay(era.from);
    const { items: rows } = await store().usage({ environment: "UAT", fromDay: day, toDay: day, limit: 10 });
    expect(rows).toMatchObject([{ tenant: "gone", input: 20, output: 5, nanoUsd: 7 }]);
    expect(await store().beginAttempt(beginning(job))).toEqual({ status: "not_found" });
    await expect(store().finish("UAT", outcome)).rejects.toMatchObject({ code: "job_not_found" });
  });

  test("remove: a job that has not ended, is another environment's or is not there is left alone", async () => {
    const { job } = await begun(store());
    const ended = await begun(store());
    await store().finish("UAT", { jobId: ended.job.id, status: "cancelled", at: 9 });
    await store().remove("UAT", job.id);
    await store().remove("PROD", ended.job.id);
    await store().remove("UAT", newJobId());
    expect((await store().get(job.id))?.job).toEqual(job);
    expect((await store().get(ended.job.id))?.state).toBe("cancelled");
  });

  test("update: priority and earliest start, alone and together, in lists and scans; the last write wins", async () => {
    const era = newEra();
    const job = makeJob({ submittedAt: era.from, metadata: { label: "kept" } });
    await store().insertMany([job]);
    const { request: _, ...head } = job;
    expect(await store().update("UAT", job.id, { priority: "interactive" })).toEqual({
      ...head,
      priority: "interactive",
    });
    expect(await store().update("UAT", job.id, { notBefore: 5 })).toEqual({
      ...head,
      priority: "interactive",
      notBefore: 5,
    });
    const now = { ...head, priority: "batch" };
    for (let times = 1; times <= 2; times++) {
      expect(await store().update("UAT", job.id, { priority: "batch", notBefore: null })).toEqual(now);
    }
    expect(await store().get(job.id)).toEqual({ job: { ...job, priority: "batch" }, state: "queued", attempts: [] });
    const query = { environment: "UAT", ...era.range, limit: 10 };
    expect((await store().unfinished(query)).items).toEqual([{ job: now, state: "queued" }]);
    expect((await store().list({ ...query, priority: "batch" })).items).toEqual([{ job: now, state: "queued" }]);
    expect((await store().list({ ...query, priority: "standard" })).items).toEqual([]);
    expect(await store().beginAttempt(beginning(job))).toMatchObject({ status: "begun", job: { priority: "batch" } });
  });

  test("update: a job that has ended, is another environment's or is not there is left alone", async () => {
    const { job } = await begun(store());
    await store().finish("UAT", { jobId: job.id, status: "cancelled", at: 9 });
    expect(await store().update("UAT", job.id, { priority: "batch" })).toBeUndefined();
    expect(await store().update("PROD", job.id, { priority: "batch" })).toBeUndefined();
    expect(await store().update("UAT", newJobId(), { priority: "batch" })).toBeUndefined();
    expect((await store().get(job.id))?.job).toEqual(job);
  });
}
