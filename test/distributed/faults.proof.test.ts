// Several API and worker processes, and what happens to them on the worst night. After each fault: every job that was
// accepted has ended, once; no job with an outcome on record was called again; no quota was exceeded at the other side.
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startWorker } from "../../src/index.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { Cluster, expectOrder, leaseMs, narrowLimit, until } from "./cluster.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const prompts = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name} ${i}`);

describe.skipIf(withoutRedis() || withoutMongo())("the distributed form", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start();
    await Promise.all([cluster.startApi(), cluster.startApi(), cluster.startWorker(), cluster.startWorker()]);
  });

  afterAll(() => cluster?.stop());

  const redis = async <T>(ask: (redis: Redis) => Promise<T>): Promise<T> => {
    const client = new Redis(cluster.redis.url);
    try {
      return await ask(client);
    } finally {
      client.disconnect();
    }
  };

  test("Redis emptied while calls run: none is made a second time, and all jobs end", async () => {
    const accepted = await cluster.submit(prompts("flush", 60), "slow");
    await until(() => cluster.calls.filter((call) => call.prompt.startsWith("flush ")).length >= 30);
    await redis((client) => client.flushall());
    const records = await cluster.allEnded(accepted);
    expectOrder(cluster, records);
    for (const prompt of accepted.keys()) expect(cluster.callsFor(prompt), prompt).toHaveLength(1);
    expect(records.flatMap((record) => record.attempts).filter((attempt) => !attempt.end)).toEqual([]);
  });

  test("Redis emptied: what the last minute used of a quota is not forgotten", async () => {
    const accepted = await cluster.submit(prompts("narrow", narrowLimit + 15), "narrow");
    const calls = () => cluster.calls.filter((call) => call.prompt.startsWith("narrow ")).length;
    await until(() => calls() >= 10);
    await redis((client) => client.flushall());
    await until(async () => {
      const response = await fetch(`${cluster.apis[0]!.url}/v1/deployments`);
      const { quotas } = (await response.json()) as { quotas: { name: string; used: number }[] };
      // An attempt that was handed back when Redis was emptied may keep its charge until its window ends.
      const attempts = (await cluster.records(accepted)).flatMap((record) => record.attempts);
      const unsent = attempts.filter(({ end }) => end?.result === "not_sent").length;
      const used = quotas.find((q) => q.name.includes("llama3-1-70b"))?.used;
      return used === narrowLimit && calls() <= narrowLimit && calls() + unsent >= narrowLimit;
    });
    const inFirstMinute = calls();
    // Each job that still waits shows what it waits for.
    const waiting = (await cluster.records(accepted)).filter(
      (record) => !record.outcome && record.attempts.length === 0,
    );
    const status = await fetch(`${cluster.apis[1]!.url}/status/${waiting[0]!.job.id}`);
    expect(await status.json()).toMatchObject({ status: "queued", waiting_on: { kind: "quota" } });
    expect(cluster.mostInAMinute()).toBe(inFirstMinute);
    for (const { job } of waiting) {
      await fetch(`${cluster.apis[0]!.url}/v1/jobs/${job.id}/cancel`, { method: "POST" });
    }
    const records = await cluster.allEnded(accepted);
    expectOrder(
      cluster,
      records.filter((record) => record.outcome!.status !== "cancelled"),
    );
    expect(cluster.mostInAMinute()).toBeLessThanOrEqual(narrowLimit);
  });

  test("Redis back with an old snapshot", async () => {
    await redis((client) => client.save());
    const before = await cluster.allEnded(await cluster.submit(prompts("after the snapshot", 20), "quick"));
    const accepted = await cluster.submit(prompts("snapshot", 60), "quick");
    await cluster.redis.kill();
    await cluster.redis.restart();
    expectOrder(cluster, [...before, ...(await cluster.allEnded(accepted))]);
  });

  test("Redis away: submits are accepted, readiness says degraded, and the queue comes back by itself", async () => {
    await cluster.redisProxy.refuse();
    cluster.redisProxy.cut();
    const { url } = cluster.apis[0]!;
    const readiness = async () => {
      const response = await fetch(`${url}/readyz`);
      return { code: response.status, ...((await response.json()) as { status: string }) };
    };
    await until(async () => (await readiness()).status === "degraded");
    expect((await readiness()).code).toBe(200);
    const accepted = await cluster.submit(prompts("away", 30), "quick");
    await cluster.redisProxy.heal();
    expectOrder(cluster, await cluster.allEnded(accepted));
    await until(async () => (await readiness()).status === "ok");
  });

  test("a connection to Redis that is half open", async () => {
    const accepted = await cluster.submit(prompts("half-open", 60), "quick");
    cluster.redisProxy.stall();
    await cluster.redisProxy.stalled();
    // Only a request on an old connection notices it. Connections after the stall work.
    await until(async () => (await (await fetch(`${cluster.apis[0]!.url}/readyz`)).text()).includes("degraded"));
    await cluster.redisProxy.heal();
    expectOrder(cluster, await cluster.allEnded(accepted));
  });

  test("MongoDB cut off: submits say so, and answers that are paid for are kept until it is back", async () => {
    const accepted = await cluster.submit(prompts("cut", 40), "slow");
    await until(() => cluster.calls.filter((call) => call.prompt.startsWith("cut ")).length >= 30);
    await cluster.mongoProxy.refuse();
    cluster.mongoProxy.cut();
    const response = await fetch(`${cluster.apis[0]!.url}/enqueue`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "not accepted", environment: "UAT" }),
    });
    expect(response.status).toBe(503);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({ success: false, error: { code: "unavailable" } });
    // Calls that ran end in the meantime, and nothing can be written of them.
    await until(() => cluster.calls.filter((call) => call.outcome === "running").length === 0);
    await cluster.mongoProxy.heal();
    const records = await cluster.allEnded(accepted);
    expectOrder(cluster, records);
    for (const prompt of accepted.keys()) expect(cluster.callsFor(prompt), prompt).toHaveLength(1);
    expect(cluster.callsFor("not accepted")).toEqual([]);
  });

  test("a store that stalls between charge and call: no call leaves on an old charge", async () => {
    const accepted = await cluster.submit(prompts("stall", 40), "quick");
    cluster.mongoProxy.stall("replies");
    await cluster.mongoProxy.stalled();
    await new Promise((resolve) => setTimeout(resolve, 2_000)); // The fault itself: four times what a charge is good for.
    await cluster.mongoProxy.heal();
    const records = await cluster.allEnded(accepted);
    expectOrder(cluster, records);
    // Charges that came to nothing are on record as not sent, or were moved.
    const results = records.flatMap((record) => record.attempts.map((attempt) => attempt.end?.result));
    expect(new Set(results)).toEqual(new Set([...results.filter((r) => r === "not_sent"), "completed"]));
  });

  test("a worker frozen past its leases and woken again", async () => {
    const accepted = await cluster.submit(prompts("frozen", 30), "slow");
    await until(() => cluster.calls.filter((call) => call.prompt.startsWith("frozen ")).length >= 30);
    const [frozen] = cluster.workers;
    frozen!.child.kill("SIGSTOP");
    // Its leases end, and others make its calls again.
    await until(() => cluster.calls.filter((call) => call.prompt.startsWith("frozen ")).length > 30);
    await new Promise((resolve) => setTimeout(resolve, leaseMs / 3)); // Some second calls are under way when it wakes.
    frozen!.child.kill("SIGCONT");
    const records = await cluster.allEnded(accepted);
    for (const { outcome } of records) expect(outcome!.status).toBe("completed");
    await until(() => cluster.calls.every((call) => call.outcome !== "running"));
    const again = [...accepted.keys()].filter((prompt) => cluster.callsFor(prompt).length > 1);
    expect(again.length).toBeGreaterThan(0);
    for (const prompt of accepted.keys()) expect(cluster.callsFor(prompt).length, prompt).toBeLessThanOrEqual(2);
  });

  test("workers killed at random, and others started", async () => {
    const accepted = new Map<string, string>();
    for (let round = 0; round < 4; round++) {
      const names = prompts(`kill ${round}.`, 25);
      for (const [prompt, jobId] of await cluster.submit(names, "quick")) accepted.set(prompt, jobId);
      const seen = cluster.calls.length;
      await until(() => cluster.calls.length >= seen + 3);
      const [first] = cluster.workers;
      await Promise.all([cluster.kill(first!), cluster.startWorker()]);
    }
    const records = await cluster.allEnded(accepted);
    expectOrder(cluster, records);
    const unknown = records.flatMap((record) => record.attempts).filter((attempt) => !attempt.end);
    expect(unknown.length).toBeGreaterThan(0);
  });

  test("an API killed in mid-submit: what it acknowledged is there", async () => {
    const accepted = new Map<string, string>();
    const [, victim] = cluster.apis;
    const submitting = prompts("api", 60).map(async (prompt) => {
      const body = JSON.stringify({ prompt, environment: "UAT", max_tokens: 20 });
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${victim!.url}/enqueue`, { method: "POST", headers, body }).catch(() => undefined);
      const answer = await response?.json().catch(() => undefined);
      if (answer) accepted.set(prompt, (answer as { job_id: string }).job_id);
    });
    await Promise.race(submitting);
    await cluster.kill(victim!);
    await Promise.all(submitting);
    expect(accepted.size).toBeGreaterThan(0);
    expectOrder(cluster, await cluster.allEnded(accepted));
    await cluster.startApi();
  });

  test("a job that ends in a worker wakes who waits in an API, at once", async () => {
    const { url } = cluster.apis[0]!;
    // The call takes one second.
    const body = JSON.stringify({ prompt: "wake me", model: "talking", environment: "UAT", max_tokens: 20 });
    const headers = { "content-type": "application/json" };
    /** Whether the waiting API answers before it would read the record again, 5 s after the wait began. */
    const wakes = async () => {
      const submitted = await fetch(`${url}/v1/jobs`, { method: "POST", headers, body });
      const { job_id } = (await submitted.json()) as { job_id: string };
      const waiting = fetch(`${cluster.apis.at(-1)!.url}/v1/jobs/${job_id}?wait=30`);
      const woken = await Promise.race([
        waiting.then(() => true),
        new Promise<false>((resolve) => setTimeout(resolve, 4_000, false)),
      ]);
      expect(await (await waiting).json()).toMatchObject({ status: "completed" });
      return woken;
    };
    // On a busy machine a call may take longer than that; without a notice no try succeeds.
    let woken = false;
    for (let i = 0; i < 5 && !woken; i++) woken = await wakes();
    expect(woken).toBe(true);
  });

  test("SIGTERM: a worker ends its calls, hands back what it cannot, and exits 0", async () => {
    const accepted = await cluster.submit(prompts("drain", 20), "slow");
    await until(() => cluster.calls.filter((call) => call.prompt.startsWith("drain ")).length >= 20);
    const exits = cluster.workers.map(
      ({ child }) => new Promise((resolve) => child.once("exit", (code) => resolve(code))),
    );
    for (const { child } of cluster.workers.splice(0)) child.kill("SIGTERM");
    expect(await Promise.all(exits)).toEqual(exits.map(() => 0));
    expectOrder(cluster, await cluster.allEnded(accepted));
    for (const prompt of accepted.keys()) expect(cluster.callsFor(prompt), prompt).toHaveLength(1);
  });

  test("a worker of one environment leaves the jobs of the other alone", async () => {
    for (const worker of [...cluster.workers]) await cluster.kill(worker);
    const accepted = await cluster.submit(prompts("one", 10), "quick");
    await cluster.startWorker("--database", "SSP-dev");
    const ofUat = new Map([...accepted].filter((_, i) => i % 2 === 0));
    const inUat = (await cluster.records(accepted)).filter(({ job }) => job.environment === "UAT");
    expect(inUat).toHaveLength(ofUat.size);
    await until(async () =>
      (await cluster.records(accepted)).every(({ job, outcome }) => job.environment !== "UAT" || outcome),
    );
    const others = (await cluster.records(accepted)).filter(({ job }) => job.environment === "PROD");
    expect(others.flatMap(({ attempts }) => attempts)).toEqual([]);
    // The other way in, for programs.
    vi.stubEnv("AWS_ACCESS_KEY_ID", "test").stubEnv("AWS_SECRET_ACCESS_KEY", "test");
    const worker = await startWorker({ databaseName: "SSP-prod", env: cluster.env, cwd: cluster.folder });
    expectOrder(cluster, await cluster.allEnded(accepted));
    await worker.stop();
  });
});
