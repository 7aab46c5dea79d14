// A worker process is frozen for longer than its leases while its calls run: alone, and beside another worker.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { usageDay } from "../../src/domain/usage.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { Cluster, leaseMs, until } from "./cluster.ts";

const skipped = withoutRedis() || withoutMongo();
let cluster: Cluster;
beforeAll(async () => {
  if (skipped) return;
  cluster = await Cluster.start();
  await cluster.startApi();
}, 120_000);
afterAll(() => cluster?.stop(), 60_000);

const names = (which: string) => Array.from({ length: 6 }, (_, i) => `${which} ${i}`);

async function usage() {
  const day = usageDay(Date.now());
  const query = { fromDay: day - 1, toDay: day, limit: 100 };
  const pages = await Promise.all(["UAT", "PROD"].map((environment) => cluster.store.usage({ environment, ...query })));
  const rows = pages.flatMap(({ items }) => items).filter(({ model }) => model === "slow");
  const sum = (of: (row: (typeof rows)[number]) => number) => rows.reduce((total, row) => total + of(row), 0);
  return { attempts: sum((r) => r.attempts), open: sum((r) => r.open), estimated: sum((r) => r.estimated) };
}

test.skipIf(skipped)(
  "A1: the answers that arrived are taken while no other worker has the jobs",
  { timeout: 120_000 },
  async () => {
    const worker = await cluster.startWorker();
    const prompts = names("alone");
    const accepted = await cluster.submit(prompts, "slow");
    await until(() => prompts.every((prompt) => cluster.callsFor(prompt).length > 0));
    worker.child.kill("SIGSTOP");
    await sleep(2 * leaseMs);
    worker.child.kill("SIGCONT");
    for (const { outcome, attempts } of await cluster.allEnded(accepted)) {
      expect(outcome?.status).toBe("completed");
      expect(attempts.map(({ end }) => end?.result)).toEqual(["completed"]);
    }
    for (const prompt of prompts) expect(cluster.callsFor(prompt)).toHaveLength(1);
    expect(await usage()).toEqual({ attempts: 6, open: 0, estimated: 0 });
    await cluster.kill(worker);
  },
);

test.skipIf(skipped)(
  "A1: beside another worker the first answer counts, and every call is in the usage",
  { timeout: 120_000 },
  async () => {
    const before = await usage();
    const frozen = await cluster.startWorker();
    const prompts = names("beside");
    const accepted = await cluster.submit(prompts, "slow");
    await until(() => prompts.every((prompt) => cluster.callsFor(prompt).length > 0));
    frozen.child.kill("SIGSTOP");
    await cluster.startWorker();
    await until(() => prompts.every((prompt) => cluster.callsFor(prompt).length > 1));
    frozen.child.kill("SIGCONT");
    const ended = await cluster.allEnded(accepted);
    let records = ended;
    await until(async () => {
      records = await cluster.records(accepted);
      return records.every(({ attempts }) => attempts.every(({ end }) => end));
    });
    for (const { job, outcome, attempts } of records) {
      expect(outcome?.status).toBe("completed");
      expect(attempts).toHaveLength(2);
      // An answer that came second is an answer too, and what was cut off for it counts at an estimate.
      for (const { end } of attempts) {
        expect(end!.usage).toBeDefined();
        expect(end!.result === "completed" || (end!.result === "unknown" && end!.estimated)).toBe(true);
      }
      expect(attempts.find(({ n }) => n === outcome!.attempt)?.end?.result, job.id).toBe("completed");
    }
    const cut = records.flatMap(({ attempts }) => attempts).filter(({ end }) => end!.estimated).length;
    expect(await usage()).toEqual({
      attempts: before.attempts + 12,
      open: before.open + cut,
      estimated: before.estimated + cut,
    });
  },
);
