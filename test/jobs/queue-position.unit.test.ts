// When a job is expected to start: by the quotas, or by how many calls run at a time, whichever is later.
import { expect, test } from "vitest";
import { explain } from "../../src/jobs/queue-position.ts";
import type { Explanation } from "../../src/scheduler/scheduler.ts";
import { testSettings } from "../support/jobs-context.ts";

const settings = testSettings({
  models: {
    m: {
      deployments: ["us-east-1", "us-west-2"].map((region) => ({ region, modelId: "some.model", maxConcurrency: 10 })),
    },
  },
  defaultModel: "m",
});

function expected(position: number, byQuotaMs: number, takesMs: number | undefined, regions?: string[]) {
  const waiting: Explanation = { state: "waiting", position, waitingOn: { kind: "turn" }, startsInMs: byQuotaMs };
  const scheduler = { explain: async () => waiting } as never;
  const durations = { averageMs: () => takesMs } as never;
  const job = { id: "j", model: "m", ...(regions && { regions }) };
  return explain({ settings, scheduler, durations }, job).then((e) => e.state === "waiting" && e.startsInMs);
}

test.each([
  ["the next one starts when the quotas say", 1, 0, 4_000, undefined, 0],
  ["two hundred before it, 20 at a time, 4 s each", 201, 0, 4_000, undefined, 40_000],
  ["in one of the two Regions it takes twice as long", 201, 0, 4_000, ["us-west-2"], 80_000],
  ["the quotas take longer", 201, 90_000, 4_000, undefined, 90_000],
  ["the duration of calls is unknown", 201, 5, undefined, undefined, 5],
] as const)("%s", async (_what, position, byQuotaMs, takesMs, regions, startsInMs) => {
  expect(await expected(position, byQuotaMs, takesMs, regions && [...regions])).toBe(startsInMs);
});
