// Random runs of all operations against the model: every answer the same, and in the end everything that can be read.
import fc from "fast-check";
import { expect, type TestAPI } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import { type AttemptResult, finalStates, type Job, jobStates, priorities } from "../../../src/domain/job.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { ModelStore } from "./model.ts";
import { allPages, beginning, type Era, makeJob, newEra } from "./support.ts";

const environments = ["UAT", "PROD"];
/** Jobs of a run are known by their place in a list of ids, so that a failing run can be read and repeated. */
const which = fc.nat({ max: 11 });
const time = fc.nat({ max: 4 });

const newJob = fc.record({
  which,
  at: time,
  tenant: fc.constantFrom("a", "b"),
  model: fc.constantFrom("m1", "m2"),
  priority: fc.constantFrom(...priorities),
  onUnknown: fc.constantFrom("retry" as const, "fail" as const),
  deadline: fc.option(time, { nil: undefined }),
});
const result = fc.constantFrom<AttemptResult>("transient", "throttled", "not_sent", "completed");

/** Not of the environment that the job is in: one time in eight. */
const stray = fc.nat({ max: 7 }).map((n) => n === 0);
const command = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("insert" as const), jobs: fc.array(newJob, { maxLength: 5 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("begin" as const),
      which,
      stray,
      grant: fc.nat({ max: 3 }),
      at: time,
      maxFailedTries: fc.constantFrom(2, 3, 100),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("end" as const), which, stray, n: fc.integer({ min: 1, max: 4 }), result }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("finish" as const),
      which,
      stray,
      status: fc.constantFrom(...finalStates),
      n: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      result,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("idle" as const), which, stray, status: fc.constantFrom(...finalStates) }),
  },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

const optional = { requiredKeys: [] as [] };
const query = fc.record(
  {
    environment: fc.constantFrom(...environments),
    state: fc.constantFrom(...jobStates),
    tenant: fc.constantFrom("a", "b"),
    model: fc.constantFrom("m1", "m2"),
    priority: fc.constantFrom(...priorities),
    from: time,
    to: time,
    deadline: time,
  },
  optional,
);
type Query = typeof query extends fc.Arbitrary<infer T> ? T : never;
const limit = fc.integer({ min: 1, max: 6 });

export function modelCases(store: () => JobStore, test: TestAPI): void {
  test("every answer and every page is the model's", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { minLength: 10, maxLength: 60 }),
        fc.array(fc.tuple(query, limit), { minLength: 5, maxLength: 5 }),
        async (commands, queries) => {
          const run = new Run(store());
          const before = await store().counts();
          for (const [step, command] of commands.entries()) await run.apply(command, step);
          await run.compareRecords();
          await run.compareCounts(before);
          for (const [query, limit] of queries) await run.comparePages(query, limit);
        },
      ),
      { numRuns: 40 },
    );
  }, 120_000);
}

class Run {
  readonly #store: JobStore;
  readonly #model = new ModelStore();
  readonly #era: Era = newEra();
  readonly #ids = Array.from({ length: 12 }, newJobId);

  constructor(store: JobStore) {
    this.#store = store;
  }

  async apply(command: Command, step: number): Promise<void> {
    const { from } = this.#era;
    if (command.do === "insert") {
      const jobs = command.jobs.map(({ which, at, deadline, ...fields }): Job => {
        const job = makeJob({ ...fields, id: this.#ids[which]!, submittedAt: from + at });
        // An id belongs to one environment: the door it came in by makes ids, and they are unique.
        job.environment = environments[which % 2]!;
        if (deadline !== undefined) job.expiresAt = from + deadline;
        return job;
      });
      expect(await this.#store.insertMany(jobs)).toEqual(this.#model.insertMany(jobs));
      return;
    }
    const jobId = this.#ids[command.which]!;
    const environment = environments[(command.which + (command.stray ? 1 : 0)) % 2]!;
    if (command.do === "begin") {
      const begin = beginning(makeJob({ id: jobId, environment }), {
        grant: `grant-${command.grant}`,
        chargedAt: from + command.at,
        maxFailedTries: command.maxFailedTries,
      });
      expect(await this.#store.beginAttempt(begin)).toEqual(this.#model.beginAttempt(begin));
      return;
    }
    const notFound = (error: { code?: string }) => {
      if (error.code === "job_not_found") return "not_found";
      throw error;
    };
    if (command.do === "idle") {
      const outcome = { jobId, status: command.status, at: step };
      const answer = await this.#store.finishIdle(environment, outcome).catch(notFound);
      expect(answer).toEqual(this.#model.finishIdle(environment, outcome));
      return;
    }
    const end = { result: command.result, at: step };
    if (command.do === "end") {
      await this.#store.endAttempt(environment, jobId, command.n, end);
      this.#model.endAttempt(environment, jobId, command.n, end);
      return;
    }
    const outcome = { jobId, status: command.status, at: step };
    const attempt = command.n === undefined ? undefined : { n: command.n, end };
    const answer = await this.#store.finish(environment, outcome, attempt).catch(notFound);
    expect(answer).toEqual(this.#model.finish(environment, outcome, attempt));
  }

  async compareRecords(): Promise<void> {
    for (const id of this.#ids) {
      const job = this.#model.jobs.get(id);
      const outcome = this.#model.outcomes.get(id);
      const expected = job && {
        job,
        state: this.#model.stateOf(id),
        attempts: this.#model.attemptsOf(id),
        ...(outcome && { outcome }),
      };
      expect(await this.#store.get(id)).toEqual(expected);
    }
  }

  /** What has been added since `before`. */
  async compareCounts(before: Awaited<ReturnType<JobStore["counts"]>>): Promise<void> {
    const after = await this.#store.counts();
    for (const environment of environments) {
      for (const state of jobStates) {
        const added = (after[environment]?.[state] ?? Number.NaN) - (before[environment]?.[state] ?? Number.NaN);
        expect(added, `${environment} ${state}`).toBe(this.#model.list({ environment, state }).length);
      }
    }
  }

  async comparePages(query: Query, limit: number): Promise<void> {
    const { from, to } = this.#era;
    const { environment, state, tenant, model, priority, deadline } = query;
    const range = {
      submittedFrom: from + (query.from ?? 0),
      submittedTo: query.to === undefined ? to : from + query.to,
    };
    const filters = { environment, state, tenant, model, priority, ...range };
    const listed = await allPages((cursor) => this.#store.list({ ...filters, limit, cursor }));
    expect(listed.flat().map((i) => ({ id: i.job.id, state: i.state, finishedAt: i.finishedAt }))).toEqual(
      this.#model.list(filters),
    );
    const scan = { environment, ...range, ...(deadline !== undefined && { expiresUntil: from + deadline }) };
    const scanned = await allPages((cursor) => this.#store.unfinished({ ...scan, limit, cursor }));
    expect(scanned.flat().map((i) => ({ id: i.job.id, state: i.state }))).toEqual(this.#model.unfinished(scan));
    const charged = { chargedFrom: range.submittedFrom };
    const attempts = await allPages((cursor) => this.#store.attemptsSince({ ...charged, limit: 100 + limit, cursor }));
    expect(attempts.flat().filter((a) => a.chargedAt < to)).toEqual(this.#model.attemptsSince(charged));
  }
}
