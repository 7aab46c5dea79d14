// A deleted job never comes back under its id: what is asked for again, under the same Idempotency-Key or as a retry, is
// another job that inherits nothing. On both stores.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { lineJobId, newBatchId } from "../../src/domain/batch.ts";
import { keylessCaller } from "../../src/jobs/caller.ts";
import { buildJob } from "../../src/jobs/submit/build-job.ts";
import { sweepIdempotencyKeys } from "../../src/jobs/submit/idempotency.ts";
import { accept } from "../../src/jobs/submit/submit.ts";
import { openTestStore, type TestStore } from "../support/jobs-context.ts";
import { openTestMongo } from "../support/mongo-store.ts";
import { withoutMongo } from "../support/servers.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const body = { prompt: "Why?", environment: "UAT", webhook_url: "https://example.com/hook" };
const failed = { status: "failed", error: { code: "internal", message: "x" } } as const;
const hourMs = 3_600_000;
let keys = 0;
const headers = () => ({ "content-type": "application/json", "idempotency-key": `key ${++keys}` });

/** Two stores on the same data, as two processes have. */
const stores = {
  async SQLite(): Promise<TestStore[]> {
    const { store, close } = await openTestStore();
    return [
      { store, close },
      { store, close: async () => {} },
    ];
  },
  async MongoDB(): Promise<TestStore[]> {
    const mongo = await openTestMongo();
    return [
      { store: mongo.store, close: () => mongo.cleanup() },
      { store: await mongo.openAnother(), close: async () => {} },
    ];
  },
};

describe.each(["SQLite", "MongoDB"] as const)("in %s", (name) => {
  describe.skipIf(name === "MongoDB" && withoutMongo())("a deleted job", { timeout: 60_000 }, () => {
    let opened: TestStore[];
    let servers: ServerUnderTest[];
    let server: ServerUnderTest;
    beforeAll(async () => {
      opened = await stores[name]();
      servers = await Promise.all(opened.map((store) => startServerUnderTest({}, store)));
      server = servers[0]!;
    }, 60_000);
    afterAll(async () => {
      await Promise.all(servers.map((each) => each.close()));
      for (const { close } of opened) await close();
    });

    async function remove(id: string, authorization?: string): Promise<number> {
      const headers = authorization === undefined ? {} : { authorization };
      return (await server.app.inject({ method: "DELETE", url: `/v1/jobs/${id}`, headers })).statusCode;
    }

    async function submit(key: Record<string, string>, on = server): Promise<string> {
      const { status, text, body: answer } = await on.post("/v1/jobs", body, key);
      expect(status, text).toBe(200);
      return answer.job_id;
    }

    /** One call, and with it the end in failure. */
    async function runOnce(id: string, usage: { input: number; output: number }): Promise<void> {
      await server.context.begin(id);
      await server.context.end(id, { ...failed, usage }, { result: "permanent", usage });
    }

    async function runAndRemove(id: string): Promise<void> {
      await runOnce(id, { input: 11, output: 22 });
      expect(await remove(id)).toBe(200);
    }

    test("is another job under the same key, which every process gets, time and again", async () => {
      const key = headers();
      const ids = [await submit(key)];
      for (let i = 0; i < 3; i++) {
        await runAndRemove(ids.at(-1)!);
        const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => submit(key, servers[n % 2])));
        expect(new Set(answers).size).toBe(1);
        ids.push(answers[0]!);
        expect((await server.get(`/v1/jobs/${ids.at(-1)}`)).body).toMatchObject({ status: "queued", attempts: [] });
        const { body: deliveries } = await server.get(`/v1/webhooks/deliveries?job=${ids.at(-1)}`);
        expect(deliveries.data).toMatchObject([{ job_id: ids.at(-1), status: "waiting" }]);
      }
      expect(new Set(ids).size).toBe(4);
      for (const id of ids.slice(0, -1)) expect((await server.get(`/v1/jobs/${id}`)).status).toBe(404);
      const other = await server.post("/v1/jobs", { ...body, prompt: "How?" }, key);
      expect(other.body.error.code).toBe("idempotency_conflict");
    });

    test("is replaced by one job, also when the process dies before that is stored", async () => {
      const key = headers();
      const first = await submit(key);
      await runAndRemove(first);
      const insertMany = vi.spyOn(server.context.store, "insertMany").mockRejectedValueOnce(new Error("killed"));
      expect((await server.post("/v1/jobs", body, key)).status).toBe(500);
      const bound = insertMany.mock.calls[0]![0][0]!.id;
      insertMany.mockRestore();
      expect(bound).not.toBe(first);
      expect(await submit(key, servers[1])).toBe(bound);
      expect(await submit(key)).toBe(bound);
    });

    test("that could not be removed is still there, and can be deleted again", async () => {
      const key = headers();
      const id = await submit(key);
      await server.context.end(id, failed);
      const removed = vi.spyOn(server.context.store, "remove").mockRejectedValueOnce(new Error("killed"));
      expect(await remove(id)).toBe(500);
      removed.mockRestore();
      expect(await submit(key)).toBe(id);
      expect(await remove(id)).toBe(200);
      expect(await submit(key)).not.toBe(id);
    });

    test("that was removed by a process that died then does not come back", async () => {
      const { store } = server.context;
      const key = headers();
      const id = await submit(key);
      await server.context.end(id, failed);
      const removeJob = store.remove;
      const removed = vi.spyOn(store, "remove").mockImplementationOnce(async (...of) => {
        await removeJob(...of);
        throw new Error("killed");
      });
      expect(await remove(id)).toBe(500);
      removed.mockRestore();
      expect(await submit(key)).not.toBe(id);
    });

    test("that is deleted while it is sent again does not come back either", async () => {
      const key = headers();
      const before = await submit(key);
      await server.context.end(before, failed);
      // The look-up found no job. While the request was checked, the job was created, ended and deleted.
      const get = vi.spyOn(server.context.store, "get").mockImplementationOnce(async () => undefined);
      const check = vi.spyOn(server.context.limits, "check").mockImplementationOnce(async () => {
        get.mockRestore();
        expect(await remove(before)).toBe(200);
      });
      const id = await submit(key);
      expect(check).toHaveBeenCalledOnce();
      check.mockRestore();
      expect(id).not.toBe(before);
      expect((await server.get(`/v1/jobs/${before}`)).status).toBe(404);
    });

    test("leaves a key that is remembered for a day from the last job on", async () => {
      const at = (hours: number) => ({ now: () => 0, wall: () => Date.now() + hours * hourMs });
      const { context } = server;
      const wall = vi.spyOn(context.clock, "wall");
      try {
        const key = headers();
        await runAndRemove(await submit(key));
        wall.mockImplementation(at(20).wall);
        const second = await submit(key);
        wall.mockRestore();
        await sweepIdempotencyKeys({ store: context.store, clock: at(43.9) });
        expect(await submit(key)).toBe(second);
        await sweepIdempotencyKeys({ store: context.store, clock: at(44.1) });
        expect(await submit(key)).not.toBe(second);
      } finally {
        wall.mockRestore();
      }
    });

    test("that was a retry is another job when the first one is retried again, however late", async () => {
      const original = await submit(headers());
      await server.context.end(original, failed);
      const retried = async (on = server) => (await on.post(`/v1/jobs/${original}/retry`, undefined)).body.job_id;
      const ids = [await retried()];
      for (let i = 0; i < 3; i++) {
        await runAndRemove(ids.at(-1)!);
        await sweepIdempotencyKeys({
          store: server.context.store,
          clock: { now: () => 0, wall: () => Date.now() + 1000 * hourMs },
        });
        const answers = await Promise.all(servers.map((each) => retried(each)));
        expect(new Set(answers).size).toBe(1);
        ids.push(answers[0]);
        expect((await server.get(`/v1/jobs/${ids.at(-1)}`)).body).toMatchObject({
          status: "queued",
          attempts: [],
          retry_of: original,
        });
      }
      expect(new Set(ids).size).toBe(4);
    });

    test("that was a retry and is deleted while it is asked for again does not come back either", async () => {
      const original = await submit(headers());
      await server.context.end(original, failed);
      const retried = async () => (await server.post(`/v1/jobs/${original}/retry`)).body.job_id;
      const first = await retried();
      await server.context.end(first, failed);
      const { store } = server.context;
      const get = store.get;
      const looked = vi.spyOn(store, "get").mockImplementation(async (id) => {
        if (id !== first) return get(id);
        looked.mockRestore();
        expect(await remove(first)).toBe(200);
        return get(id);
      });
      const next = await retried();
      expect(next).not.toBe(first);
      expect((await server.get(`/v1/jobs/${next}`)).body).toMatchObject({ status: "queued", retry_of: original });
      expect((await server.get(`/v1/jobs/${first}`)).status).toBe(404);
    });

    test("may be the retry of a batch's line: a job of its own, which its batch does not know", async () => {
      const { context } = server;
      const batchId = newBatchId();
      const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "Why?" }] }];
      const input = { environment: "UAT", messages, messagesField: "messages" as const };
      const line = lineJobId(batchId, 1);
      await accept(context, [await buildJob(context, input, keylessCaller, { id: line, batchId, customId: "a" })]);
      await context.end(line, failed);
      const { body: again } = await server.post(`/v1/jobs/${line}/retry`);
      expect(again).toMatchObject({ retry_of: line, status: "queued" });
      const { job } = (await context.store.get(again.job_id))!;
      expect(job).not.toHaveProperty("batchId");
      expect(job).not.toHaveProperty("customId");
      await context.end(again.job_id, failed);
      expect(await remove(again.job_id)).toBe(200);
      expect(await remove(line)).toBe(409);
    });

    // The last one: keys close the service to those without one.
    test("counts in the limits of its key each time it is asked for again", async () => {
      const { key: admin } = (await server.post("/v1/keys", { name: "admin", admin: true })).body;
      const fields = { name: "k", environments: ["UAT"], daily_tokens: 2000 };
      const { key } = (await server.as(admin).post("/v1/keys", fields)).body;
      const own = { ...headers(), authorization: `Bearer ${key}` };
      let taken = 0;
      for (; taken < 10; taken++) {
        const answer = await server.post("/v1/jobs", { ...body, max_tokens: 600 }, own);
        if (answer.status === 429) break;
        expect(answer.status, answer.text).toBe(200);
        const { job_id: id } = answer.body;
        await runOnce(id, { input: 400, output: 600 });
        expect(await remove(id, own.authorization)).toBe(200);
      }
      expect(taken).toBe(2);
    });
  });
});
