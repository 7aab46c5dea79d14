// A process of its own for bench/retention.ts: the HTTP interface over a store with many old jobs, and the rounds of
// retention, which begin and pause when the parent says so.
import type { AddressInfo } from "node:net";
import { createHttpServer } from "../../src/http/server.ts";
import { WaitingCallers } from "../../src/jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../../src/jobs/control/pause-watch.ts";
import { openKeyRegistry } from "../../src/jobs/keys/key-registry.ts";
import { createPace } from "../../src/worker/pace.ts";
import { RetentionRounds } from "../../src/worker/retention/retention-round.ts";
import { systemTimers } from "../../src/worker/timers.ts";
import { makeJobs, openEmbedded } from "./embedded.ts";

const total = Number(process.argv[2]);
const atOnce = 500;
const day = 24 * 3_600_000;
const prompt = "Compare the locks of this canal with those of the next one. ".repeat(30);
const answer = "The upper locks are older, and their gates are of oak. ".repeat(20);

const { context, worker, close } = await openEmbedded({
  quotas: [{ unit: "requests", per: "minute", limit: 3 }],
  concurrency: 50,
});
const { store, clock } = context;
for (let made = 0; made < total; made += atOnce) {
  const submittedAt = clock.wall() - 60 * day + made;
  const jobs = makeJobs(atOnce).map((job) => ({
    ...job,
    submittedAt,
    request: {
      ...job.request,
      messages: [{ role: "user" as const, content: [{ type: "text" as const, text: prompt }] }],
    },
  }));
  await store.insertMany(jobs);
  await Promise.all(
    jobs.map(async ({ id, model }) => {
      const begin = { environment: "UAT", jobId: id, grant: id, deployment: "d", model, worker: "w" };
      await store.beginAttempt({
        ...begin,
        ...{ chargedAt: submittedAt, reserved: { input: 20, output: 100 }, maxFailedTries: 3 },
      });
      const at = submittedAt + 1;
      const end = { result: "completed", at, usage: { input: 20, output: 5 } } as const;
      await store.finish("UAT", { jobId: id, status: "completed", at, text: answer }, { n: 1, end });
    }),
  );
}

const keys = await openKeyRegistry(context);
const http = createHttpServer({
  ...context,
  keys,
  callers: new WaitingCallers(context),
  pauses: new PauseWatch(context),
});
await http.listen({ host: "127.0.0.1", port: 0 });
worker.start();

let removed = 0;
let mayRun: Promise<void> | undefined;
let resume = () => {};
const pace = createPace(clock, systemTimers);
const { retention } = context.settings;
const rounds = new RetentionRounds({
  ...context,
  settings: { ...context.settings, retention: { ...retention, ages: { ...retention.ages, jobs: 30 * day } } },
  async proceed() {
    await mayRun;
    await pace();
  },
  removed(_environment, kind, count) {
    if (kind === "jobs") removed += count;
  },
});
const hold = () => {
  mayRun = new Promise((resolve) => {
    resume = resolve;
  });
};
hold();
let stopping = false;
rounds.run("UAT").catch((error) => {
  if (!stopping) throw error;
});
process.send!((http.server.address() as AddressInfo).port);
process.on("message", async (message: "run" | "pause" | "stop") => {
  if (message === "run") {
    mayRun = undefined;
    resume();
  } else if (message === "pause") {
    hold();
  } else {
    stopping = true;
    await http.close();
    await keys.close();
    await close();
    process.exit();
  }
  process.send!(removed);
});
