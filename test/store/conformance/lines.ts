// The jobs of one batch by their lines: ids in a range, submitted at one moment.
import { expect, type TestAPI } from "vitest";
import { lineJobId, newBatchId } from "../../../src/domain/batch.ts";
import type { Job } from "../../../src/domain/job.ts";
import type { JobStore, LineRange } from "../../../src/store/job-store.ts";
import { beginning, makeJob, mustBegin, newEra } from "./support.ts";

/** A batch of some lines, between two others that were submitted at the same moment. */
async function batchOf(store: JobStore, lines: number): Promise<{ jobs: Job[]; range: LineRange }> {
  const submittedAt = newEra().from;
  const ids = [newBatchId(), newBatchId(), newBatchId()];
  const all = ids.map((batchId) =>
    Array.from({ length: lines }, (_, i) =>
      makeJob({ id: lineJobId(batchId, i + 1), submittedAt, batchId, customId: `line ${i + 1}` }),
    ),
  );
  // Not in the order of the lines.
  await store.insertMany(all.flat().reverse());
  const [, id] = ids;
  const range = { environment: "UAT", submittedAt, from: lineJobId(id!, 1), to: lineJobId(id!, lines + 1) };
  return { jobs: all[1]!, range };
}

export function lineCases(store: () => JobStore, test: TestAPI): void {
  test("lines come in their order, with outcomes, a part at a time", async () => {
    const { jobs, range } = await batchOf(store(), 7);
    const outcome = { jobId: jobs[2]!.id, status: "completed", at: range.submittedAt + 5, text: "An answer." } as const;
    await mustBegin(store(), beginning(jobs[2]!));
    await store().finish("UAT", outcome, { n: 1, end: { result: "completed", at: outcome.at } });
    await mustBegin(store(), beginning(jobs[3]!));

    const heads = jobs.map(({ request: _, ...head }) => head);
    const expected = heads.map((job, i) => ({
      job,
      state: i === 2 ? "completed" : i === 3 ? "in_progress" : "queued",
      ...(i === 2 && { outcome }),
    }));
    expect(await store().lines({ ...range, answers: true, limit: 1_000 })).toEqual(expected);
    expect(await store().lines({ ...range, answers: true, limit: 3 })).toEqual(expected.slice(0, 3));
    expect(await store().lines({ ...range, from: jobs[3]!.id, to: jobs[5]!.id, limit: 9 })).toEqual(
      expected.slice(3, 5),
    );
    expect(await store().lines({ ...range, state: "queued", limit: 3 })).toEqual([
      ...expected.slice(0, 2),
      expected[4],
    ]);
    expect(await store().lines({ ...range, submittedAt: range.submittedAt + 1, limit: 3 })).toEqual([]);
  });

  test("lines are counted by their state", async () => {
    const { jobs, range } = await batchOf(store(), 6);
    const none = { queued: 0, in_progress: 0, completed: 0, failed: 0, cancelled: 0, expired: 0 };
    expect(await store().countLines(range)).toEqual({ ...none, queued: 6 });
    const at = range.submittedAt;
    const end = (i: number, status: "completed" | "cancelled" | "expired") =>
      store().finish("UAT", { jobId: jobs[i]!.id, status, at, ...(status === "completed" && { text: "x" }) });
    await end(0, "completed");
    await end(1, "completed");
    await end(2, "cancelled");
    await end(3, "expired");
    await mustBegin(store(), beginning(jobs[4]!));
    expect(await store().countLines(range)).toEqual({
      ...none,
      queued: 1,
      in_progress: 1,
      completed: 2,
      cancelled: 1,
      expired: 1,
    });
    expect(await store().countLines({ ...range, to: jobs[2]!.id })).toEqual({ ...none, completed: 2 });
    expect(await store().countLines({ ...range, to: range.from })).toEqual(none);
  });

  test("an unknown environment is named, and a limit that is too large", async () => {
    const range = { environment: "nowhere", submittedAt: 0, from: "0", to: "1" };
    await expect(store().lines({ ...range, limit: 1 })).rejects.toMatchObject({ code: "unknown_environment" });
    await expect(store().countLines(range)).rejects.toMatchObject({ code: "unknown_environment" });
    await expect(store().lines({ ...range, environment: "UAT", limit: 1_001 })).rejects.toMatchObject({
      code: "invalid_request",
    });
  });
}
