// A worker in virtual time between a scheduler and a server that answers some jobs and never others: the real
// classification, the real decisions, and the scheduler under test.
import fc from "fast-check";
import { expect } from "vitest";
import type { Attempt, JobHead } from "../../../src/domain/job.ts";
import { classify, readError, type Server } from "../../../src/providers/openai/openai-failures.ts";
import { classifyTransport } from "../../../src/providers/openai/transport-failures.ts";
import type { FailureKind, ProviderFailure } from "../../../src/providers/provider.ts";
import { wordings } from "../../../src/providers/wordings.ts";
import type { Grant } from "../../../src/scheduler/scheduler.ts";
import { type Disposition, dispositionOf } from "../../../src/worker/attempt/disposition.ts";
import { configOf, Driver, deployment, job, numberOf, type Open, quota } from "../harness.ts";

const seconds = 1_000;
const minutes = 60 * seconds;

/** How the server treats a job: answers it, refuses it, breaks off, or stays silent. */
export type Manner =
  | { kind: "answered" }
  | { kind: "refused"; status: number; message: string; retryAfterS?: number }
  | { kind: "cut" }
  | { kind: "stalled" };

/** No status of a throttle per day: that is the account's whatever else is known, and parks its pool. */
const statuses = [
  301, 400, 401, 402, 403, 404, 405, 408, 409, 412, 413, 418, 422, 424, 429, 500, 501, 502, 503, 504, 529,
];

const poison: fc.Arbitrary<Manner> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("refused" as const),
      status: fc.constantFrom(...statuses),
      message: fc.constantFrom("No.", ""),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom(...wordings), fc.constantFrom(400, 403, 404, 500)).map(([row, status]) => ({
      kind: "refused" as const,
      status: row.statuses?.[0] ?? status,
      message: row.example,
    })),
  },
  fc.constant({ kind: "cut" as const }),
  fc.constant({ kind: "stalled" as const }),
);

export interface Run {
  manners: Manner[];
  concurrency: number;
  deployments: number;
  answerMs: number;
  /** Requests per minute that the configuration allows each deployment; absent: no quota is configured. */
  limit: number | undefined;
}

export const runs: fc.Arbitrary<Run> = fc.record({
  manners: fc.array(
    fc.oneof({ weight: 3, arbitrary: fc.constant<Manner>({ kind: "answered" }) }, { weight: 1, arbitrary: poison }),
    { minLength: 2, maxLength: 40, size: "max" },
  ),
  concurrency: fc.constantFrom(1, 2, 10),
  deployments: fc.constantFrom(1, 1, 3),
  answerMs: fc.constantFrom(10, 2_000),
  limit: fc.constantFrom(undefined, 100),
});

const server: Server = { host: "server", modelId: "m", maxTokensField: "max_tokens" };

function failureOf(manner: Exclude<Manner, { kind: "answered" }>): ProviderFailure {
  switch (manner.kind) {
    case "refused":
      return classify(
        readError({ error: { message: manner.message } }, manner.status, {
          ...(manner.retryAfterS !== undefined && { "retry-after": String(manner.retryAfterS) }),
        }),
        server,
        false,
        0,
      );
    case "cut":
      return classifyTransport(Object.assign(new Error("cut"), { code: "ECONNRESET" }), "server");
    case "stalled":
      return { kind: "transient", code: "unknown_end", message: "Nothing came.", maybeBilled: true };
  }
}

/**
 * How much longer one poisonous job may keep the others waiting: out of service for five minutes by words of the
 * account; two cool-downs of up to a minute; three tries that stall for a minute each; a limit that is learned from
 * its throttles. The same for each deployment.
 */
const delayMs: Record<FailureKind, number> = {
  misconfigured: 6 * minutes,
  unclear: 2 * minutes,
  capacity: 3 * minutes,
  throttled: 4 * minutes,
  transient: 4 * minutes,
  permanent: 2 * seconds,
  aborted: 0,
};

/** Within this time all jobs that the server answers are done. */
function boundMs({ manners, deployments, answerMs }: Run): number {
  const delays = manners.map((m) => (m.kind === "answered" ? answerMs : deployments * delayMs[failureOf(m).kind]));
  return 1 * minutes + delays.reduce((sum, delay) => sum + delay, 0);
}

const head = (n: number): JobHead => ({
  id: String(n),
  environment: "PROD",
  tenant: "t",
  priority: "standard",
  model: "m",
  fallbackModels: [],
  tokens: { input: 1, output: 0 },
  submittedAt: n,
  onUnknown: "retry",
});

/** Runs jobs until all that are answered are done. Fails if one of them fails, or if it takes too long. */
export async function isolates(open: Open, run: Run, within = boundMs(run)): Promise<void> {
  const ids = Array.from({ length: run.deployments }, (_, i) => `d${i}`);
  const config = configOf(
    run.limit === undefined ? [] : ids.map((id) => quota(id, run.limit!)),
    ids.map((id) => deployment(id, run.limit === undefined ? [] : [id], { maxConcurrency: run.concurrency })),
  );
  const opened = await open(config);
  try {
    const driver = await new Driver(opened).open();
    await driver.add(...run.manners.map((_, i) => job(i + 1)));
    const mannerOf = (grant: Grant) => run.manners[numberOf(grant) - 1]!;
    const attempts = new Map<string, Attempt[]>();
    let now = 0;
    let toDo = run.manners.filter((m) => m.kind === "answered").length;
    const running: { grant: Grant; endsAt: number }[] = [];

    const end = async (grant: Grant): Promise<void> => {
      const manner = mannerOf(grant);
      if (manner.kind === "answered") {
        await driver.finish([grant]);
        toDo -= 1;
        return;
      }
      const earlier = attempts.get(grant.jobId) ?? [];
      const attempt = { n: earlier.length + 1 } as Attempt;
      const policy = { maxFailedTries: 3, backoffBaseMs: 1_000, backoffMaxMs: 60_000, random: () => 0.5 };
      const tried = { job: head(numberOf(grant)), attempt: { ...attempt, reserved: grant.reserved }, earlier };
      const disposition: Disposition = dispositionOf(failureOf(manner), tried, policy);
      attempts.set(grant.jobId, [...earlier, { ...tried.attempt, end: { ...disposition.attempt, at: now } }]);
      await driver.settle(grant, disposition.settlement);
    };

    while (toDo > 0) {
      expect(now, "ms until the jobs that the server answers are done").toBeLessThanOrEqual(within);
      const free = run.concurrency * run.deployments - running.length;
      const { grants, impossible, retryInMs } = await driver.acquire(free);
      expect(impossible).toEqual([]);
      for (const grant of grants) {
        const { kind } = mannerOf(grant);
        running.push({ grant, endsAt: now + (kind === "answered" ? run.answerMs : kind === "stalled" ? 60_000 : 5) });
      }
      const next = Math.min(now + (retryInMs || Number.POSITIVE_INFINITY), ...running.map(({ endsAt }) => endsAt));
      expect(next, "something happens next").toBeLessThan(Number.POSITIVE_INFINITY);
      await opened.advance(next - now);
      now = next;
      for (const each of running.filter(({ endsAt }) => endsAt <= now)) {
        running.splice(running.indexOf(each), 1);
        await end(each.grant);
      }
    }
  } finally {
    await opened.cleanup();
  }
}
