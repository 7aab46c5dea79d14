// Processes that die between any two steps of writing, ending, erasing and removing jobs with large texts.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { newJobId } from "../../src/domain/ids.ts";
import { isErased, type Job, type Outcome } from "../../src/domain/job.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { allLarge, answerOf, crashing, largeJob, nativeAnswer, readBlobs } from "./large-text-support.ts";

test("no crash leaves a job without its texts, or a blob without a job", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-large-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const inner = await openSqliteStore({ dataDir, environments: { UAT: { database: "a" }, PROD: { database: "b" } } });
  onTestFinished(() => inner.close());
  const which = fc.nat({ max: 3 });
  const command = fc.oneof(
    fc.record({ do: fc.constant("insert" as const), jobs: fc.array(which, { minLength: 1, maxLength: 3 }) }),
    fc.record({ do: fc.constant("finish" as const), job: which, text: fc.constantFrom("one", "two") }),
    fc.record({ do: fc.constant("erase" as const), job: which }),
    fc.record({ do: fc.constant("remove" as const), job: which }),
  );
  const step = fc.record({ command, diesAfter: fc.option(fc.nat({ max: 9 }), { nil: undefined }) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
      const jobs = Array.from({ length: 4 }, (_, i) => largeJob(`request ${i}`, { id: newJobId() }));
      const outcomes = new Map<string, Outcome>();
      for (const { command, diesAfter } of steps) {
        const store = allLarge(crashing(inner, diesAfter));
        const job = "job" in command ? jobs[command.job]! : undefined;
        const run = async () => {
          if (command.do === "insert") await store.insertMany(command.jobs.map((i) => jobs[i]!));
          else if (command.do === "finish") {
            const outcome = answerOf(job!, { native: nativeAnswer(`answer ${command.text}`) });
            const { outcome: stands } = await store.finish("UAT", outcome);
            outcomes.set(job!.id, stands);
          } else if (command.do === "erase") await store.eraseTexts("UAT", job!.id);
          else await store.remove("UAT", job!.id);
        };
        await run().catch((error) => {
          if (!["crashed", "job_not_found"].includes(error.code ?? error.message)) throw error;
        });
        if (diesAfter === undefined) continue;
        await allLarge(inner).sweepTexts(true);
        await check(jobs, outcomes);
      }
      const store = allLarge(inner);
      await check(jobs, outcomes);
      for (const { id } of jobs) {
        await store.finish("UAT", { jobId: id, status: "cancelled", at: 20 }).catch(() => {});
        await store.remove("UAT", id);
      }
      await store.sweepTexts(true);
      expect(readBlobs(dataDir)).toEqual([]);
    }),
    { numRuns: 100 },
  );

  async function check(jobs: readonly Job[], outcomes: ReadonlyMap<string, Outcome>) {
    const store = allLarge(inner);
    let texts = 0;
    for (const job of jobs) {
      const record = await store.get(job.id);
      if (!record) continue;
      if (record.job.erased) {
        expect(isErased(record.job.request)).toBe(true);
        expect(record.outcome?.native).toBeUndefined();
        continue;
      }
      expect(record.job).toEqual(job);
      texts += 1;
      const known = outcomes.get(job.id);
      if (known && record.outcome) expect(record.outcome).toEqual(known);
      if (record.outcome?.native) texts += 1;
    }
    expect(readBlobs(dataDir)).toHaveLength(texts);
  }
}, 60_000);
