// What the caller of a synchronous call is told while its job cannot start.
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { openTestStore, type TestStore } from "../../support/jobs-context.ts";
import { type ServerUnderTest, startServerUnderTest } from "../server-under-test.ts";
import { urlOf } from "./client.ts";

let shared: TestStore;
let server: ServerUnderTest;
let url: string;
let accepted: string[] = [];
const model = "llama3-3-70b";
const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
const paused: object[] = [];

beforeAll(async () => {
  shared = await openTestStore();
  server = await startServerUnderTest({}, shared, { keepAliveMs: 100 });
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map((job) => job.id));
  url = await urlOf(server.app);
});
afterEach(async () => {
  await server.context.scheduler.remove(accepted);
  accepted = [];
  for (const target of paused.splice(0)) await server.post("/v1/resume", target);
});
afterAll(async () => {
  server.app.server.closeAllConnections();
  await server.close();
  await shared.close();
});

async function pause(target: object, reason?: string): Promise<string> {
  paused.push(target);
  return (await server.post("/v1/pause", { ...target, ...(reason && { reason }) })).body.paused_at;
}

const within = { timeout: 15_000, interval: 5 };
const chat = { model, messages: [{ role: "user", content: "Why?" }] };
const calls: [path: string, body: object][] = [
  ["/v1/chat/completions", chat],
  ["/v1/responses", { model, input: "Why?" }],
];

/** A stream under way, and what came of it so far. */
function reading(path: string, body?: object) {
  const controller = new AbortController();
  const read = { text: "", status: 0, stop: () => controller.abort() };
  const headers = { "content-type": "application/json" };
  fetch(url + path, {
    method: body ? "POST" : "GET",
    ...(body && { headers, body: JSON.stringify({ ...body, stream: true }) }),
    signal: controller.signal,
  })
    .then(async (response) => {
      read.status = response.status;
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) read.text += chunk;
    })
    .catch(() => {});
  return read;
}

const comments = ({ text }: { text: string }) =>
  text.split("\n").filter((line) => line.startsWith(": ") && line !== ": keep-alive");

test.each([
  ["the model", { model }],
  ["the tenant", { tenant: "default" }],
  ["the tenant in the environment", { tenant: "default", environment: "UAT" }],
  ["every deployment of the model", { deployment }],
])(
  "B8: %s is paused: a call without streaming gets 503 with since when and why, and nothing is queued",
  async (_name, target) => {
    const at = await pause(target, "The account is being moved");
    for (const [path, body] of calls) {
      const answer = await server.post(path, body);
      expect(answer.status).toBe(503);
      expect(answer.body.error).toMatchObject({
        code: "paused",
        message: expect.stringMatching(
          new RegExp(`^The .* has been paused since ${at}: The account is being moved\\.$`),
        ),
      });
      expect(answer.headers["retry-after"]).toBe("5");
    }
    expect(accepted).toEqual([]);
    await server.post("/v1/resume", target);
    const { status } = reading("/v1/chat/completions", chat);
    expect(status).toBe(0);
    await vi.waitFor(() => expect(accepted).toHaveLength(1), within);
  },
);

test("B8: a pause of another model, tenant, environment or deployment refuses nothing", async () => {
  await pause({ model: "nova-lite" });
  await pause({ tenant: "other" });
  await pause({ tenant: "default", environment: "PROD" });
  await pause({ deployment: "bedrock/eu-west-1/eu.amazon.nova-lite-v1:0" });
  const answer = server.post("/v1/chat/completions", chat);
  await vi.waitFor(() => expect(accepted).toHaveLength(1), within);
  await server.context.end(accepted[0]!, { status: "completed", text: "Because." });
  expect((await answer).status).toBe(200);
});

test("B8: an Idempotency-Key that was refused for a pause is free afterwards; a job that waits is found", async () => {
  const headers = { "content-type": "application/json", "idempotency-key": "paused" };
  await pause({ model });
  expect((await server.post("/v1/chat/completions", chat, headers)).status).toBe(503);
  await server.post("/v1/resume", { model });
  const answer = server.post("/v1/chat/completions", chat, headers);
  await vi.waitFor(() => expect(accepted).toHaveLength(1), within);
  await pause({ model });
  const again = server.post("/v1/chat/completions", chat, headers);
  await vi.waitFor(() => expect(server.context.callers.callersOf(accepted[0]!)).toBe(2), within);
  await server.context.end(accepted[0]!, { status: "completed", text: "Because." });
  expect([(await answer).status, (await again).status]).toEqual([200, 200]);
});

test.each(calls)(
  "B8: a stream of %s says at once that it is paused, and again when that changes",
  async (path, body) => {
    const at = await pause({ model }, "maintenance");
    const read = reading(path, body);
    const sentence = `The model ${model} has been paused since ${at}: maintenance.`;
    await vi.waitFor(() => expect(comments(read)[0]).toBe(`: ${sentence}`), within);
    await vi.waitFor(() => expect(comments(read)[1]).toMatch(`: queued at position 1: ${sentence}`), within);
    await server.post("/v1/resume", { model });
    await vi.waitFor(
      () => expect(comments(read).at(-1)).toMatch(/: queued at position 1: It may start at any moment\./),
      within,
    );
    const reader = reading(`/v1/jobs/${accepted[0]}/events`);
    await vi.waitFor(() => expect(comments(reader).at(-1)).toMatch(/^: queued at position/), within);
    expect(reader.text).not.toContain("event: text");
    await server.context.end(accepted[0]!, { status: "completed", text: "Because." });
    await vi.waitFor(() => expect(read.text).toContain("Because."), within);
  },
);

test("B8: a stream says that every deployment of its model is out of service, and why", async () => {
  const { scheduler } = server.context;
  const read = reading("/v1/chat/completions", chat);
  await vi.waitFor(() => expect(accepted).toHaveLength(1), within);
  const { grants } = await scheduler.acquire({ operation: crypto.randomUUID(), worker: "w", max: 1 });
  const reason = "The credit balance is\ntoo low.";
  await scheduler.settle(
    grants.map(({ jobId, grant }) => ({
      jobId,
      grant,
      job: { requeueAfterMs: 0 },
      charge: "void",
      signal: { kind: "misconfigured", reason },
    })),
  );
  await vi.waitFor(
    () => expect(comments(read).join("\n")).toContain("out of service: The credit balance is too low."),
    within,
  );
  // One line, whatever the reason has in it.
  expect(read.text.split("\n").filter((line) => line !== "" && !/^(: |data: |event: )/.test(line))).toEqual([]);
  await scheduler.reinstate(deployment);
  read.stop();
});
