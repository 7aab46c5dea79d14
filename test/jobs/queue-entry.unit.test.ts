import { expect, test } from "vitest";
import type { JobHead } from "../../src/domain/job.ts";
import { queueEntryOf } from "../../src/jobs/queue-entry.ts";

const head: JobHead = {
  id: "01a207a2-0fd0-7454-96ba-806386d365b3",
  environment: "UAT",
  tenant: "default",
  priority: "standard",
  model: "a",
  fallbackModels: ["b", "c"],
  tokens: { input: 1, output: 2 },
  submittedAt: 1000,
  onUnknown: "retry",
};

test("keeps the order of submission and the order of models", () => {
  expect(queueEntryOf(head, 5000)).toEqual({
    jobId: head.id,
    environment: "UAT",
    tenant: "default",
    priority: "standard",
    models: ["a", "b", "c"],
    tokens: { input: 1, output: 2 },
    exact: false,
    order: 1000,
  });
});

test("only what is left of a delay counts", () => {
  expect(queueEntryOf({ ...head, notBefore: 6000 }, 5000)).toMatchObject({ delayMs: 1000 });
  expect(queueEntryOf({ ...head, notBefore: 5000 }, 5000)).not.toHaveProperty("delayMs");
  expect(queueEntryOf({ ...head, regions: ["x"] }, 5000)).toMatchObject({ regions: ["x"] });
});
