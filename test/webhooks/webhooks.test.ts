// Webhooks from the submit to the receiver, who verifies them with the library of the Standard Webhooks specification.
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, vi } from "vitest";
import { lostTryMs } from "../../src/domain/webhook.ts";
import { announceEnd, beginTry } from "../../src/jobs/webhooks/webhook-records.ts";
import { webhookBodies } from "../../src/wire/webhook-resource.ts";
import { startDeliverer } from "../../src/worker/webhooks/deliverer.ts";
import type { ServerUnderTest } from "../http/server-under-test.ts";
import { test } from "../support/fixtures.ts";
import { ManualTime } from "../worker/support/manual-time.ts";
import { type Receiver, startReceiver } from "./receiver.ts";

let server: ServerUnderTest;
/** Ahead of the real time, in milliseconds. */
let offset = 0;
const realWall = Date.now.bind(Date);

test.beforeAll(async ({ shareServer }) => {
  server = await shareServer({ webhooks: { allowPrivateNetworks: ["127.0.0.0/8"] } });
  server.context.clock = { now: () => performance.now() + offset, wall: () => realWall() + offset };
});

const cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});

/** A process that delivers, whose timers run when the test lets them. */
function startProcess(workerId = "w1", settings = server.context.settings) {
  const timers = new ManualTime();
  const stop = startDeliverer({
    ...server.context,
    settings,
    timers,
    workerId,
    random: () => 0.5,
    providers: new Map(),
    webhookBodies: webhookBodies(server.context),
  });
  cleanUp.push(stop);
  return {
    stop,
    /** So much time passes, and its timers run. */
    async pass(ms: number) {
      offset += ms;
      while (timers.runNext(timers.now() + 1_000)) await new Promise((done) => setTimeout(done, 1));
    },
  };
}

/** Lets small pieces of time pass until it holds. */
function until<T>(process: { pass(ms: number): Promise<void> }, check: () => Promise<T> | T): Promise<T> {
  const look = async () => {
    await process.pass(1);
    return check();
  };
  return vi.waitFor(look, { timeout: 15_000, interval: 5 });
}

const answered = { status: "completed", text: "Rayleigh scattering.", finishReason: "stop" } as const;
const submit = async (url: string, fields: object = {}) => {
  const { body, status, text } = await server.post("/v1/jobs", {
    prompt: "Why?",
    environment: "UAT",
    webhook_url: url,
    ...fields,
  });
  expect(status, text).toBe(200);
  return body.job_id as string;
};
const deliveryOf = async (jobId: string) => (await server.get(`/v1/webhooks/deliveries/msg_${jobId}`)).body;
const deliveryIs = async (jobId: string, status: string) => {
  const delivery = await deliveryOf(jobId);
  expect(delivery.status).toBe(status);
  return delivery;
};

test("a job's end is posted once, signed, with the job as it can be read", async () => {
  const receiver = await startReceiver();
  const process = startProcess();
  const jobId = await submit(receiver.url);
  await process.pass(10_000);
  expect(await deliveryOf(jobId)).toMatchObject({ status: "waiting", job_id: jobId, batch_id: null, attempts: [] });
  expect(receiver.received).toEqual([]);

  await server.context.begin(jobId);
  await server.context.end(jobId, answered, { result: "completed" });
  const delivery = await until(process, () => deliveryIs(jobId, "delivered"));
  const { secret } = (await server.get("/v1/webhooks/secret")).body;
  const [{ headers, body, json }] = receiver.received as [Receiver["received"][number]];
  expect(headers["webhook-id"]).toBe(`msg_${jobId}`);
  // Its own clock is the real one here, which may be some seconds behind.
  vi.useFakeTimers({ now: realWall() + offset, toFake: ["Date"] });
  expect(new Webhook(secret).verify(body, headers)).toEqual(json);
  expect(() => new Webhook(secret).verify(`${body} `, headers)).toThrow();
  vi.useRealTimers();
  const job = (await server.get(`/v1/jobs/${jobId}`)).body;
  expect(json).toEqual({ type: "job.completed", timestamp: job.finished_at, data: job });
  expect(job.text).toBe("Rayleigh scattering.");
  expect(body).not.toContain("Why?");
  expect(delivery).toMatchObject({
    url: receiver.url,
    next_attempt_at: null,
    attempts: [{ number: 1, redelivery: 0, result: "delivered", status_code: 200, error: null, response: null }],
  });
  await process.pass(3_600_000);
  await process.pass(3_600_000);
  expect(receiver.received).toHaveLength(1);
});

test.each(["failed", "cancelled", "expired"] as const)("a job that is %s", async (status) => {
  const receiver = await startReceiver();
  const process = startProcess();
  const jobId = await submit(receiver.url);
  if (status === "cancelled") await server.post(`/v1/jobs/${jobId}/cancel`);
  else await server.context.end(jobId, { status, error: { code: "expired", message: "Too late." } });
  await until(process, () => deliveryIs(jobId, "delivered"));
  expect(receiver.received[0]!.json).toMatchObject({ type: `job.${status}`, data: { job_id: jobId, status } });
});

test("/enqueue takes it too; a job without one makes no delivery", async () => {
  const receiver = await startReceiver();
  const jobId = await server.enqueue({ webhook_url: receiver.url });
  expect(await deliveryOf(jobId)).toMatchObject({ status: "waiting" });
  const without = await server.enqueue();
  expect((await server.get(`/v1/webhooks/deliveries/msg_${without}`)).status).toBe(404);
  await server.context.end(jobId, answered);
});

test("of a job that leaves no answer behind none is posted, whether it is erased by then or not", async () => {
  let status = 500;
  const receiver = await startReceiver((response) => response.writeHead(status).end());
  const process = startProcess();
  let jobId = "";
  server.context.events.publishAccepted = ([job]) => {
    jobId = job!.id;
  };
  const body = { messages: [{ role: "user", content: "Why?" }], webhook_url: receiver.url, store: false };
  const answer = server.post("/v1/chat/completions", body);
  await vi.waitFor(() => expect(jobId).not.toBe(""), { timeout: 15_000 });
  server.context.events.publishAccepted = () => {};
  const erasing = vi.spyOn(server.context.store, "eraseTexts").mockResolvedValue();
  await server.context.end(jobId, { ...answered, toolCalls: [{ id: "c", name: "f", arguments: "{}" }] });
  expect((await answer).body.choices[0].message.content).toBe(answered.text);
  await until(process, async () => expect((await deliveryOf(jobId)).attempts).toMatchObject([{ result: "failed" }]));
  expect((await server.context.store.get(jobId))!.outcome!.text).toBe(answered.text);
  erasing.mockRestore();
  await server.context.store.eraseTexts("UAT", jobId);
  status = 200;
  await process.pass(6_000);
  await until(process, () => deliveryIs(jobId, "delivered"));
  const [early, late] = receiver.received;
  expect(early!.json).toMatchObject({
    type: "job.completed",
    data: { job_id: jobId, text: "", tool_calls: null, finish_reason: "stop" },
  });
  expect(late!.body).toBe(early!.body);
});

test("a receiver that fails is asked again, ever later, under the same id, until it confirms", async () => {
  const receiver = await startReceiver((response, n) => {
    if (n === 4) response.end();
    else response.writeHead(500).end("not\u0000 now\n");
  });
  const process = startProcess();
  const jobId = await submit(receiver.url);
  await server.context.end(jobId, answered);
  for (const [n, waitS] of [5, 30, 120, 600].entries()) {
    const { attempts, next_attempt_at } = await until(process, async () => {
      const delivery = await deliveryIs(jobId, "pending");
      expect(delivery.attempts[n]?.result).toBe("failed");
      return delivery;
    });
    const at = Date.parse(attempts[n].started_at) + attempts[n].duration_ms;
    expect(Math.abs(Date.parse(next_attempt_at) - at - waitS * 1000)).toBeLessThan(1_000);
    await process.pass(waitS * 1000 - 2_000);
    expect(receiver.received).toHaveLength(n + 1);
    await process.pass(2_000);
  }
  const { attempts } = await until(process, () => deliveryIs(jobId, "delivered"));
  expect(attempts[0]).toMatchObject({
    status_code: 500,
    error: "The receiver answered 500.",
    response: "not now",
  });
  expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"]))).toEqual(new Set([`msg_${jobId}`]));
  expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
  expect(new Set(receiver.received.map(({ headers }) => headers["webhook-timestamp"])).size).toBe(5);
});

test("what the receiver answered is not stored with zero retention, because it may repeat the answer", async () => {
  const receiver = await startReceiver((response) => response.writeHead(500).end("Rayleigh"));
  const { settings } = server.context;
  const retention = { ...settings.retention, tenants: { default: { texts: "none" as const } } };
  const process = startProcess("w1", { ...settings, retention });
  const jobId = await submit(receiver.url);
  await server.context.end(jobId, answered);
  const { attempts } = await until(process, async () => {
    const delivery = await deliveryOf(jobId);
    expect(delivery.attempts).toMatchObject([{ result: "failed" }]);
    return delivery;
  });
  expect(attempts[0]).toMatchObject({ status_code: 500, error: "The receiver answered 500.", response: null });
});

test("Retry-After puts it off; 410 ends it; after a day it is given up; by hand it begins anew", async () => {
  let status = 503;
  const receiver = await startReceiver((response) => response.writeHead(status, { "retry-after": "1000" }).end());
  const process = startProcess();
  const jobId = await submit(receiver.url);
  expect((await server.post(`/v1/webhooks/deliveries/msg_${jobId}/redeliver`)).body.error.code).toBe("conflict");
  await server.context.end(jobId, answered);
  await until(process, async () => expect((await deliveryOf(jobId)).attempts).toMatchObject([{ result: "failed" }]));
  await process.pass(900_000);
  expect(receiver.received).toHaveLength(1);
  status = 410;
  await process.pass(101_000);
  const given = await until(process, () => deliveryIs(jobId, "failed"));
  expect(given.attempts[1].error).toMatch(/410/);

  status = 404;
  const again = await server.post(`/v1/webhooks/deliveries/msg_${jobId}/redeliver`);
  expect(again.body).toMatchObject({ status: "pending", id: `msg_${jobId}` });
  // Asked for twice before it is made, it is made once.
  await server.post(`/v1/webhooks/deliveries/msg_${jobId}/redeliver`);
  const end = await until(process, async () => {
    const { next_attempt_at, attempts } = await deliveryOf(jobId);
    const waits = attempts.length > 2 && attempts.at(-1).result === "failed" && next_attempt_at !== null;
    if (waits) await process.pass(Math.max(0, Date.parse(next_attempt_at) - server.context.clock.wall()));
    return deliveryIs(jobId, "failed");
  });
  const tries = end.attempts.filter((attempt: { redelivery: number }) => attempt.redelivery === 1);
  expect(tries.length).toBeGreaterThan(5);
  expect(tries.length).toBeLessThan(13);
  expect(Date.parse(tries.at(-1).started_at) - Date.parse(tries[0].started_at)).toBeLessThanOrEqual(24 * 3_600_000);
  status = 204;
  await server.post(`/v1/webhooks/deliveries/msg_${jobId}/redeliver`);
  await until(process, () => deliveryIs(jobId, "delivered"));
});

test("a process that died between the outcome and the news, or in the middle of a try, is made good by another", async () => {
  const receiver = await startReceiver();
  const jobId = await submit(receiver.url);
  // No more than this is on record when the process dies.
  await server.context.store.finish("UAT", { jobId, at: server.context.clock.wall(), ...answered });
  expect((await deliveryOf(jobId)).status).toBe("waiting");
  const second = startProcess();
  await until(second, () => deliveryIs(jobId, "delivered"));

  const cut = await startReceiver();
  const other = await submit(cut.url);
  await server.context.end(other, answered);
  const hint = { id: `msg_${other}`, environment: "UAT", url: cut.url };
  // What the other process wrote down before it made the try that it died in.
  await beginTry(server.context, hint, { n: 1, round: 0, at: server.context.clock.wall(), worker: "dead" });
  await second.pass(1_000);
  expect(cut.received).toEqual([]);
  expect((await deliveryOf(other)).attempts).toMatchObject([{ result: "in_progress" }]);
  await second.pass(lostTryMs);
  const { attempts } = await until(second, () => deliveryIs(other, "delivered"));
  expect(attempts).toMatchObject([{ result: "unknown" }, { result: "delivered" }]);
  expect(cut.received).toHaveLength(1);
});

test("two processes make each try once", async () => {
  const receiver = await startReceiver();
  const processes = [startProcess("w1"), startProcess("w2")];
  const jobs = await Promise.all(Array.from({ length: 25 }, () => submit(receiver.url)));
  await Promise.all(jobs.map((jobId) => server.context.end(jobId, answered)));
  await vi.waitFor(
    async () => {
      await Promise.all(processes.map((process) => process.pass(1)));
      for (const jobId of jobs) await deliveryIs(jobId, "delivered");
    },
    { timeout: 20_000, interval: 5 },
  );
  expect(receiver.received.map(({ json }) => json.data.job_id).sort()).toEqual([...jobs].sort());
});

test("a slow receiver does not delay the webhooks of others", async () => {
  const slow = await startReceiver(() => {});
  const quick = await startReceiver();
  const process = startProcess();
  const stuck = await Promise.all(Array.from({ length: 10 }, () => submit(slow.url)));
  const jobId = await submit(quick.url);
  await Promise.all([...stuck, jobId].map((id) => server.context.end(id, answered)));
  await until(process, () => deliveryIs(jobId, "delivered"));
  expect(slow.received.length).toBeLessThanOrEqual(4);
  await process.stop();
  const { attempts } = await deliveryOf(slow.received[0]!.json.data.job_id);
  expect(attempts[0]).toMatchObject({ result: "failed", error: "The service stopped before the receiver answered." });
});

test("what is old is forgotten, what is waited for is not", async () => {
  const receiver = await startReceiver();
  const process = startProcess();
  const [ended, waiting] = await Promise.all([submit(receiver.url), submit(receiver.url)]);
  await server.context.end(ended, answered);
  await until(process, () => deliveryIs(ended, "delivered"));
  offset += 31 * 24 * 3_600_000;
  for (let i = 0; i < 700; i++) await process.pass(1_000);
  await until(process, async () =>
    expect((await server.get(`/v1/webhooks/deliveries/msg_${ended}`)).body.error?.code).toBe("delivery_not_found"),
  );
  expect(await deliveryOf(waiting)).toMatchObject({ status: "waiting" });
});

describe("secrets", () => {
  test("a new one signs beside the old one for a day", async () => {
    const first = (await server.get("/v1/webhooks/secret")).body;
    expect(first).toMatchObject({
      secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/=]{44}$/),
      previous_signs_until: null,
    });
    const rotated = await server.post("/v1/webhooks/secret/rotate");
    expect(rotated.headers["cache-control"]).toBe("no-store");
    expect(rotated.body.secret).not.toBe(first.secret);
    const receiver = await startReceiver();
    const process = startProcess();
    const jobs = [await submit(receiver.url), await submit(receiver.url)];
    await server.context.end(jobs[0]!, answered);
    await until(process, () => deliveryIs(jobs[0]!, "delivered"));
    await process.pass(25 * 3_600_000);
    await server.context.end(jobs[1]!, answered);
    await until(process, () => deliveryIs(jobs[1]!, "delivered"));
    const verifies = (secret: string, { body, headers }: Receiver["received"][number]) => {
      const at = Number(headers["webhook-timestamp"]) * 1000;
      const signed = new Webhook(secret).sign(headers["webhook-id"]!, new Date(at), body);
      return headers["webhook-signature"]!.split(" ").includes(signed);
    };
    const [during, after] = receiver.received as [Receiver["received"][number], Receiver["received"][number]];
    expect([first.secret, rotated.body.secret].map((secret) => verifies(secret, during))).toEqual([true, true]);
    expect([first.secret, rotated.body.secret].map((secret) => verifies(secret, after))).toEqual([false, true]);
  });

  test("two that change it at the same time agree on one", async () => {
    const both = await Promise.all([1, 2].map(() => server.post("/v1/webhooks/secret/rotate")));
    const now = (await server.get("/v1/webhooks/secret")).body.secret;
    expect(both.map(({ body }) => body.secret)).toContain(now);
  });
});

test("a repeated announcement changes nothing", async () => {
  const receiver = await startReceiver();
  const process = startProcess();
  const jobId = await submit(receiver.url);
  await server.context.end(jobId, answered);
  await until(process, () => deliveryIs(jobId, "delivered"));
  const { job } = (await server.context.store.get(jobId))!;
  await announceEnd(server.context, job);
  await process.pass(10_000);
  await process.pass(10_000);
  expect(receiver.received).toHaveLength(1);
});
