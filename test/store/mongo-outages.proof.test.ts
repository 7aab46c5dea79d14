// Servers that die, networks that break. What was acknowledged must be there; what was not must say what may have become
// of it; and everything must go on by itself afterwards.
import { afterEach, describe, expect, test, vi } from "vitest";
import { SluiceError } from "../../src/domain/errors.ts";
import type { Job, Outcome } from "../../src/domain/job.ts";
import { StoreOpenError } from "../../src/store/environments.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { openMongoStore } from "../../src/store/mongo/mongo-store.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import type { TestServer } from "../support/server-process.ts";
import { startMongo, withoutMongo } from "../support/servers.ts";
import { beginning, makeJob, mustBegin } from "./conformance/support.ts";

vi.setConfig({ testTimeout: 60_000 });

/** The client's waits, in the form in which an operator sets them, short. */
const impatient = "serverSelectionTimeoutMS=500&connectTimeoutMS=500&heartbeatFrequencyMS=500";
const environments = { UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } };

describe.skipIf(withoutMongo())("MongoDB away", () => {
  const opened: { close(): Promise<unknown> }[] = [];
  afterEach(async () => {
    for (let next = opened.pop(); next; next = opened.pop()) await next.close();
  });
  const keep = <T extends { close(): Promise<unknown> }>(closable: T): T => {
    opened.push(closable);
    return closable;
  };

  async function start(): Promise<{ server: TestServer; proxy: FaultProxy; store: JobStore }> {
    const server = keep(await startMongo());
    const proxy = keep(await startFaultProxy(server.port));
    const store = keep(await openMongoStore({ url: `${proxy.through(server.url)}&${impatient}`, environments }));
    return { server, proxy, store };
  }

  async function codeOf(operation: Promise<unknown>): Promise<string> {
    try {
      await operation;
      return "none";
    } catch (error) {
      if (error instanceof SluiceError) return error.code;
      throw error;
    }
  }

  /** Asks until it is answered, as the worker does with what must not be lost. */
  async function retryForever<T>(operation: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      try {
        return await operation();
      } catch (error) {
        if (!(error instanceof SluiceError) || Date.now() > deadline) throw error;
      }
    }
  }

  test("killed again and again in mid-run: nothing acknowledged is lost, everything goes on", async () => {
    const { server, store } = await start();
    const acknowledged: { job: Job; outcome?: Outcome }[] = [];
    const codes = new Set<string>();
    let running = true;
    const client = async () => {
      while (running) {
        const entry: (typeof acknowledged)[number] = { job: makeJob() };
        try {
          await store.insertMany([entry.job]);
          acknowledged.push(entry);
          await store.beginAttempt(beginning(entry.job));
          const outcome: Outcome = { jobId: entry.job.id, status: "completed", at: 1, text: "x" };
          await store.finish("UAT", outcome, { n: 1, end: { result: "completed", at: 1 } });
          entry.outcome = outcome;
        } catch (error) {
          if (!(error instanceof SluiceError)) throw error;
          codes.add(error.code);
        }
      }
    };
    const clients = Array.from({ length: 8 }, client);
    try {
      for (let kills = 1; kills <= 3; kills++) {
        const target = acknowledged.length + 15;
        await vi.waitUntil(() => acknowledged.length >= target, { timeout: 30_000 });
        await server.kill();
        await server.restart();
      }
    } finally {
      running = false;
    }
    await Promise.all(clients);

    expect([...codes].filter((code) => code !== "unavailable" && code !== "fate_unknown")).toEqual([]);
    for (const { job, outcome } of acknowledged) {
      const record = await retryForever(() => store.get(job.id));
      expect(record?.job).toEqual(job);
      if (outcome) expect(record).toMatchObject({ state: "completed", outcome });
    }
    // What was cut off can be done once more, and is done once.
    const cutOff = acknowledged.filter(({ outcome }) => !outcome);
    for (const { job } of cutOff) {
      const outcome: Outcome = { jobId: job.id, status: "completed", at: 2, text: "again" };
      const { outcome: winning } = await retryForever(() => store.finish("UAT", outcome));
      expect((await store.get(job.id))?.outcome).toEqual(winning);
    }
    const unfinished = new Set((await store.unfinished({ limit: 10_000 })).items.map((i) => i.job.id));
    expect(acknowledged.filter(({ job }) => unfinished.has(job.id))).toEqual([]);
    expect((await store.counts()).UAT?.completed).toBeGreaterThanOrEqual(acknowledged.length);
  });

  test("no server: nothing was written, and when to come again", async () => {
    const { proxy, store } = await start();
    await proxy.refuse();
    proxy.cut();
    const job = makeJob();
    await vi.waitUntil(async () => (await codeOf(store.ping())) === "unavailable", { timeout: 30_000 });
    const error: SluiceError = await store.insertMany([job]).then(
      () => undefined as never,
      (e) => e,
    );
    expect(error).toMatchObject({ code: "unavailable", details: { retryAfterS: expect.any(Number) } });
    const operations = [
      store.get(job.id),
      store.counts(),
      store.list({ limit: 1 }),
      store.unfinished({ limit: 1 }),
      store.beginAttempt(beginning(job)),
      store.finish("UAT", { jobId: job.id, status: "cancelled", at: 1 }),
      store.loadCheckpoint("x"),
      store.saveCheckpoint("x", 1),
    ];
    expect(await Promise.all(operations.map(codeOf))).toEqual(operations.map(() => "unavailable"));
    await proxy.heal();
    expect(await retryForever(() => store.get(job.id))).toBeUndefined();
    expect(await store.insertMany([job])).toEqual(["inserted"]);
  });

  test("a connection that breaks under a write: the write is repeated, once is enough", async () => {
    const { proxy, store } = await start();
    for (let i = 0; i < 5; i++) {
      const job = makeJob();
      proxy.stall();
      const inserting = store.insertMany([job]);
      await proxy.stalled();
      proxy.cut();
      await proxy.heal();
      expect(await inserting).toEqual(["inserted"]);
      expect((await store.get(job.id))?.state).toBe("queued");
    }
  });

  test("a write whose answer is lost: repeated, it is known for our own", async () => {
    const { server, proxy, store } = await start();
    const beside = keep(await openMongoStore({ url: server.url, environments }));
    const job = makeJob();
    proxy.stall("replies");
    const inserting = store.insertMany([job]);
    await vi.waitUntil(async () => (await beside.get(job.id)) !== undefined, { timeout: 30_000 });
    proxy.cut();
    await proxy.heal();
    expect(await inserting).toEqual(["inserted"]);
    expect(await store.insertMany([job])).toEqual(["exists"]);
  });

  test("half-open: an insert reports fate_unknown, a read reports unavailable; then both work again", async () => {
    const { proxy, store } = await start();
    const job = makeJob();
    await store.ping();
    proxy.stall();
    expect(await codeOf(store.insertMany([job]))).toBe("fate_unknown");
    expect(await codeOf(store.get(job.id))).toBe("unavailable");
    await proxy.heal();
    expect(["inserted", "exists"]).toContain((await retryForever(() => store.insertMany([job])))[0]);
    expect((await store.get(job.id))?.job).toEqual(job);
  });

  test("half-open under an attempt and an outcome: repeated, they are one attempt and one outcome", async () => {
    const { proxy, store } = await start();
    const job = makeJob();
    await store.insertMany([job]);
    const begin = beginning(job);
    const outcome: Outcome = { jobId: job.id, status: "completed", at: 1, text: "paid for" };
    const attempt = { n: 1, end: { result: "completed", at: 1 } } as const;
    for (const operation of [
      () => mustBegin(store, begin),
      () => store.finish("UAT", outcome, attempt),
      () => store.finish("UAT", outcome, attempt),
    ]) {
      proxy.stall();
      const first = operation().catch(() => {});
      await proxy.stalled();
      proxy.cut();
      await first;
      await proxy.heal();
      await retryForever<unknown>(operation);
    }
    expect(await store.get(job.id)).toMatchObject({
      state: "completed",
      outcome,
      attempts: [{ n: 1, grant: begin.grant, end: { result: "completed" } }],
    });
  });

  test("a frozen server is waited for no longer than the client is set to, and used again when it wakes", async () => {
    const { server, store } = await start();
    await store.ping();
    server.pause();
    expect(["unavailable", "fate_unknown"]).toContain(await codeOf(store.insertMany([makeJob()])));
    server.resume();
    const job = makeJob();
    await retryForever(() => store.insertMany([job]));
    expect((await store.get(job.id))?.job).toEqual(job);
  });

  test("a slow network is no outage", async () => {
    const { proxy, store } = await start();
    proxy.slow(50);
    const job = makeJob();
    expect(await store.insertMany([job])).toEqual(["inserted"]);
    expect(await store.beginAttempt(beginning(job))).toMatchObject({ status: "begun" });
  });

  test("a store that cannot be opened says what to do, and not the password", async () => {
    const { proxy, server } = await start();
    await proxy.refuse();
    proxy.cut();
    const address = proxy.through(server.url).replace("mongodb://", "mongodb://user:s3cret@");
    const mistakes = [`${address}&${impatient}`, "mongodb://user:s3cret@", "postgres://user:s3cret@127.0.0.1/", ""];
    for (const url of mistakes) {
      const error: unknown = await openMongoStore({ url, environments }).catch((e) => e);
      expect(error, url).toBeInstanceOf(StoreOpenError);
      expect((error as Error).message).toContain("MONGODB_URL");
      expect((error as Error).message).not.toContain("s3cret");
    }
    const wrong = { UAT: { database: "sluice" } };
    await expect(openMongoStore({ url: server.url, environments: wrong })).rejects.toThrow(StoreOpenError);
  });
});
