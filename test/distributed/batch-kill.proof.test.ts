// kill -9 while a batch is taken in, run and finished by several processes: an API in the middle of the upload, and the
// worker that has the batch in each of its passes. What the design promises, and what is asserted: every line stands in
// one of the two result files, once; a line is called again only if its call was under way in a worker that was killed,
// and then the attempt that was lost says so; no file is there that was not written to its end.
import { request } from "node:http";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type Db, MongoClient } from "mongodb";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { lineJobId } from "../../src/domain/batch.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import type { SluiceProcess } from "../support/sluice-process.ts";
import { Cluster, until } from "./cluster.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const lines = 200;
/** Calls that run at a time in all workers together, by the cluster's configuration. */
const callsAtOnce = 20;
const prompts = Array.from({ length: lines }, (_, i) => `batch line ${i}`);

describe.skipIf(withoutRedis() || withoutMongo())("a batch of several processes", () => {
  let cluster: Cluster;
  let mongo: MongoClient;
  /** Of the first environment, in which files and batches are unless a header says otherwise. */
  let db: Db;
  /** By the name that a worker has on record: when it was killed, in milliseconds since the epoch. */
  const killedAt = new Map<string, number>();
  /** Processes that take the place of the dead. */
  const starting: Promise<SluiceProcess>[] = [];

  beforeAll(async () => {
    cluster = await Cluster.start();
    mongo = await new MongoClient(cluster.mongo.url).connect();
    db = mongo.db("SSP-dev");
    await Promise.all([cluster.startApi(), cluster.startApi(), cluster.startWorker(), cluster.startWorker()]);
  });
  afterAll(async () => {
    await Promise.allSettled(starting);
    await mongo?.close();
    await cluster?.stop();
  });

  test("each line once, no matter which process is killed and when", async () => {
    const [victim, survivor] = cluster.apis;
    await uploadHalf(victim!);
    await cluster.kill(victim!);
    starting.push(cluster.startApi());
    const client = new OpenAI({ baseURL: `${survivor!.url}/v1`, apiKey: "none", maxRetries: 0 });
    expect((await client.files.list()).data).toEqual([]);

    const content = prompts.map((prompt) =>
      JSON.stringify({
        custom_id: prompt,
        method: "POST",
        url: "/v1/chat/completions",
        body: { model: "quick", max_tokens: 20, messages: [{ role: "user", content: prompt }] },
      }),
    );
    const file = await client.files.create({
      file: await toFile(Buffer.from(content.join("\n")), "in.jsonl"),
      purpose: "batch",
    });
    const { id } = await client.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });

    // While the lines are checked, while they become jobs, while they run, and while their results are written.
    await killHolder(id, "claim");
    await killHolder(id, "validated");
    const calls = () => cluster.calls.filter((call) => call.prompt.startsWith("batch line ")).length;
    await until(() => calls() > lines / 3);
    await killCaller();
    await killHolder(id, "finalizing");

    let done = await client.batches.retrieve(id);
    await until(async () => {
      done = await client.batches.retrieve(id);
      return done.status === "completed";
    });
    const output = await linesOf(client, done.output_file_id);
    const errors = await linesOf(client, done.error_file_id);
    const numbers = (all: { custom_id: string }[]) => all.map((line) => prompts.indexOf(line.custom_id));
    for (const file of [output, errors]) expect(numbers(file)).toEqual(numbers(file).toSorted((a, b) => a - b));
    expect([...numbers(output), ...numbers(errors)].toSorted((a, b) => a - b)).toEqual(prompts.map((_, i) => i));
    // Only what was cut off three times has failed.
    for (const { response } of errors) expect(response.body.error.code).toBe("tries_exhausted");
    expect(done.request_counts).toEqual({ total: lines, completed: output.length, failed: errors.length });

    await expectPaidOnce(id);
    await expectWholeFiles(client, [file.id, done.output_file_id, done.error_file_id]);
  });

  /** Sends the beginning of a file, and resolves when a piece of it is on record. */
  async function uploadHalf(api: SluiceProcess): Promise<void> {
    const headers = { "content-type": "multipart/form-data; boundary=b" };
    const form = request(`${api.url}/v1/files`, { method: "POST", headers });
    form.on("error", () => {});
    form.write('--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n');
    form.write("x".repeat(2_500_000));
    await until(async () => (await db.collection("blobs").countDocuments()) > 0);
  }

  type Step = "claim" | "validated" | "submitted" | "finalizing" | "ended";

  /** Kills the worker that has the batch as soon as this step is on record. */
  async function killHolder(batchId: string, step: Step): Promise<void> {
    for (;;) {
      const records = await db.collection<{ _id: string; value: string }>("batches").find().toArray();
      const own = records.filter(({ _id }) => _id.startsWith(`${batchId}/`));
      const claims = own.filter(({ _id }) => _id.includes("/claim/")).toSorted((a, b) => (a._id < b._id ? -1 : 1));
      const holder = claims.map(({ value }) => JSON.parse(value).workerId as string).at(-1);
      const worker = cluster.workers.find((candidate) => nameOf(candidate) === holder);
      if (worker && own.some(({ _id }) => _id.split("/")[1] === step)) return killAndReplace(worker);
      await sleep(2);
    }
  }

  /** Kills workers in the middle of several calls, until a kill has cut off at least one of them. */
  async function killCaller(): Promise<void> {
    for (;;) {
      const open = await workersWithOpenAttempts();
      const worker = cluster.workers.find((candidate) => open.filter((name) => name === nameOf(candidate)).length >= 5);
      if (worker) {
        await killAndReplace(worker);
        // The calls may have ended between the look and the kill.
        if ((await workersWithOpenAttempts()).includes(nameOf(worker))) return;
      }
      await sleep(2);
    }
  }

  /** The worker of each attempt that has not ended. */
  async function workersWithOpenAttempts(): Promise<string[]> {
    const attempts = await db.collection<{ _id: string; worker: string }>("attempts").find().toArray();
    const ends = new Set((await db.collection("attempt_ends").distinct("_id")).map(String));
    return attempts.filter(({ _id }) => !ends.has(_id)).map((attempt) => attempt.worker);
  }

  async function killAndReplace(worker: SluiceProcess): Promise<void> {
    await cluster.kill(worker);
    killedAt.set(nameOf(worker), Date.now());
    starting.push(cluster.startWorker());
  }

  const nameOf = ({ child }: SluiceProcess) => `${hostname()}/${child.pid}`;

  /** No call was made again but those that a kill cut off, of which there are never more than run at a time. */
  async function expectPaidOnce(batchId: string): Promise<void> {
    const lost = new Map<string, number>();
    for (const [i, prompt] of prompts.entries()) {
      const { attempts, outcome } = (await cluster.store.get(lineJobId(batchId, i + 1)))!;
      const open = attempts.filter((attempt) => !attempt.end);
      for (const { worker, chargedAt } of open) {
        expect(killedAt.get(worker), `${prompt}: an attempt of a worker that lives has no end`).toBeDefined();
        expect(chargedAt, prompt).toBeLessThanOrEqual(killedAt.get(worker)!);
        lost.set(worker, (lost.get(worker) ?? 0) + 1);
      }
      // Handed back before it was sent, or the one that counts.
      const ended = attempts.filter((attempt) => attempt.end && attempt.end.result !== "not_sent");
      expect(ended.map(({ n, end }) => [n, end!.result])).toEqual(
        outcome!.status === "completed" ? [[outcome!.attempt, "completed"]] : [],
      );
      const calls = cluster.callsFor(prompt);
      expect(calls.length, `${prompt}: more calls than attempts`).toBeLessThanOrEqual(open.length + ended.length);
      expect(calls.length, `${prompt}: no call`).toBeGreaterThan(0);
      const late = calls.filter((call) => performance.timeOrigin + call.arrivedAt > outcome!.at + 5);
      expect(late, `${prompt}: called again after its outcome`).toEqual([]);
    }
    for (const [worker, attempts] of lost) expect(attempts, worker).toBeLessThanOrEqual(callsAtOnce);
    // The kill in the middle of the run was one.
    expect(lost.size).toBeGreaterThan(0);
  }

  /** What of a file was written when its writer was killed is noted for removal, and is no file. */
  async function expectWholeFiles(client: OpenAI, expected: (string | undefined)[]): Promise<void> {
    const ids = expected.filter((id) => id !== undefined);
    expect((await client.files.list()).data.map((file) => file.id).toSorted()).toEqual(ids.toSorted());
    const records = await db.collection<{ _id: string; value: string }>("files").find().toArray();
    const values = records.map(({ _id, value }) => ({ _id, ...(JSON.parse(value) as { blob: string }) }));
    const held = new Set(values.filter(({ _id }) => ids.includes(_id)).map(({ blob }) => blob));
    const loose = new Set(values.filter(({ _id }) => _id.startsWith("loose/")).map(({ blob }) => blob));
    const pieces = await db.collection<{ _id: string; last?: true }>("blobs").find({}, { projection: { bytes: 0 } });
    const keys = new Set<string>();
    const whole = new Set<string>();
    for (const { _id, last } of await pieces.toArray()) {
      const [key] = _id.split("/") as [string];
      keys.add(key);
      if (last) whole.add(key);
    }
    for (const key of held) expect(whole, "a file has no end").toContain(key);
    for (const key of keys) if (!held.has(key)) expect(loose, "these bytes would never be removed").toContain(key);
    // Those of the upload that was cut off.
    expect([...keys].filter((key) => !held.has(key)).length).toBeGreaterThan(0);
  }
});

// biome-ignore lint/suspicious/noExplicitAny: compared with what is expected
async function linesOf(client: OpenAI, fileId: string | undefined): Promise<any[]> {
  if (fileId === undefined) return [];
  const text = await (await client.files.content(fileId)).text();
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}
