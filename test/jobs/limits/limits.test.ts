// The sums behind limits, against a model: any order of submits, ends (also told twice) and restarts.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import type { Job } from "../../../src/domain/job.ts";
import { Limits } from "../../../src/jobs/limits/limits.ts";
import { openTestContext, type TestContext, templateJob } from "../../support/jobs-context.ts";

let context: TestContext;
let template: Job;
beforeAll(async () => {
  context = await openTestContext();
  template = await templateJob(context);
});
afterAll(() => context.close());

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("submit" as const), tokens: fc.integer({ min: 1, max: 60 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      which: fc.nat(),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);

test("a job is taken exactly if what is used, set aside and asked for stays within the limits", async () => {
  let taken = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      const limits = { maxWaiting: 4, dailyTokens: 200 };
      const keyId = newJobId().replaceAll("-", "");
      const open = () => new Limits({ ...context, keys: { limitsOf: () => limits, limited: [keyId] } });
      let subject = open();
      const jobs: { job: Job; tokens: number }[] = [];
      let used = 0;
      for (const s of steps) {
        if (s.do === "restart") subject = open();
        else if (s.do === "submit") {
          const job = { ...template, id: newJobId(), keyId, tokens: { input: s.tokens, output: 0 } };
          const setAside = jobs.reduce((sum, { tokens }) => sum + tokens, 0);
          const fits = jobs.length < limits.maxWaiting && used + setAside + s.tokens <= limits.dailyTokens;
          const answer = await subject.reserve([job]).then(
            () => true,
            () => false,
          );
          expect(answer).toBe(fits);
          if (fits) jobs.push({ job, tokens: s.tokens });
          if (fits) taken++;
          else refused++;
        } else if (jobs.length > 0) {
          const [{ job, tokens }] = jobs.splice(s.which % jobs.length, 1) as [(typeof jobs)[number]];
          const input = Math.floor(tokens * s.share);
          const outcome = { jobId: job.id, status: "completed" as const, at: Date.now(), usage: { input, output: 0 } };
          await Promise.all([subject, subject, open()].map((each) => each.ended("UAT", outcome)));
          await subject.ended("UAT", outcome);
          used += input;
        }
      }
    }),
    { numRuns: 30 },
  );
  expect(Math.min(taken, refused)).toBeGreaterThan(40);
});
