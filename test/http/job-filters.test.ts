// Cancelling and retrying many jobs by a filter.
import { describe, expect } from "vitest";
import { lineJobId, newBatchId } from "../../src/domain/batch.ts";
import { insertBatch } from "../../src/jobs/batches/batch-records.ts";
import { batchRequestAt } from "../batches/support.ts";
import { makeJob } from "../store/conformance/support.ts";
import { test } from "../support/fixtures.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
/** Labels the jobs of one test by their time of submission. */
let since: string;
test.beforeAll(async ({ shareServer }) => {
  server = await shareServer();
});
test.beforeEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 2));
  since = new Date().toISOString();
});

const post = async (what: "cancel" | "retry", body: object) =>
  (await server.post(`/v1/jobs/${what}`, { submitted_after: since, ...body })).body;
const stateOf = async (id: string) => (await server.get(`/v1/jobs/${id}`)).body.status;
const fail = (id: string) => server.context.end(id, { status: "failed", error: { code: "internal", message: "x" } });

/** All portions, added up. */
async function all(what: "cancel" | "retry", body: object) {
  const sum = { matched: 0, done: 0, calls: 0 };
  let cursor: string | undefined;
  do {
    const answer = await post(what, { ...body, ...(cursor && { cursor }) });
    sum.matched += answer.matched;
    sum.done += answer.done;
    sum.calls += 1;
    cursor = answer.next_cursor ?? undefined;
  } while (cursor && sum.calls < 50);
  return sum;
}

test("cancels what waits and runs and fits, portion by portion, and nothing else", async () => {
  const [a, b, c] = [await server.enqueue(), await server.enqueue({ priority: "batch" }), await server.enqueue()];
  const other = await server.enqueue({ environment: "PROD" });
  const ended = await server.enqueue();
  await fail(ended);
  await server.context.begin(c);
  const counted = await all("cancel", { environment: "UAT", dry_run: true, limit: 1 });
  expect(counted).toMatchObject({ matched: 3, done: 0 });
  expect(counted.calls).toBeGreaterThanOrEqual(3);
  expect(await all("cancel", { environment: "UAT", priority: "batch" })).toMatchObject({ matched: 1, done: 1 });
  expect([await stateOf(a), await stateOf(b)]).toEqual(["queued", "cancelled"]);
  expect(await all("cancel", { environment: "UAT", limit: 1 })).toMatchObject({ matched: 2, done: 2 });
  const states = await Promise.all([a, b, c, ended, other].map(stateOf));
  expect(states).toEqual(["cancelled", "cancelled", "cancelled", "failed", "queued"]);
  expect(await all("cancel", { environment: "UAT" })).toMatchObject({ matched: 0, done: 0 });
});

test("gives the waiting jobs that match another priority, and leaves running ones as they are", async () => {
  const [a, b, running] = [await server.enqueue(), await server.enqueue(), await server.enqueue()];
  const other = await server.enqueue({ environment: "PROD" });
  await server.context.begin(running);
  const change = async (body: object) =>
    (await server.post("/v1/jobs/change", { submitted_after: since, ...body })).body;
  const set = { priority: "batch" };
  expect(await change({ environment: "UAT", set, dry_run: true })).toMatchObject({ matched: 2, done: 0 });
  const first = await change({ environment: "UAT", priority: "standard", set, limit: 1 });
  expect(first).toMatchObject({ matched: 1, done: 1, errors: [] });
  const rest = await change({ environment: "UAT", priority: "standard", set, cursor: first.next_cursor });
  expect(rest).toMatchObject({ matched: 1, done: 1, next_cursor: null });
  const priorityOf = async (id: string) => (await server.get(`/v1/jobs/${id}`)).body.priority;
  expect(await Promise.all([a, b, running, other].map(priorityOf))).toEqual(["batch", "batch", "standard", "standard"]);
  const refused = await server.post("/v1/jobs/change", { environment: "UAT", status: "failed", set });
  expect(refused.body.error).toMatchObject({ code: "invalid_request", field: "status" });
  for (const body of [
    { environment: "UAT" },
    { environment: "UAT", set: {} },
    { set },
    { environment: "UAT", set: { model: "x" } },
  ]) {
    expect((await server.post("/v1/jobs/change", body)).status).toBe(400);
  }
});

test("F9: a list shows the lines of a batch and the jobs with some labels; changes of many jobs take the same", async () => {
  const id = newBatchId();
  const createdAt = Date.now();
  await insertBatch(server.context, { ...batchRequestAt(createdAt), id });
  const lines = [1, 2, 3].map((line) =>
    makeJob({
      id: lineJobId(id, line),
      batchId: id,
      submittedAt: createdAt,
      metadata: { ticket: `${line}`, "a b": "x&y" },
    }),
  );
  await server.context.store.insertMany(lines);
  const single = await server.enqueue({ metadata: { ticket: "1", odd: "\u2028=" } });

  const ids = async (query: string) => {
    const { status, body } = await server.get(`/v1/jobs?${query}`);
    return status === 200 ? body.data.map(({ job_id }: { job_id: string }) => job_id) : body.error;
  };
  expect(await ids(`batch=${id}`)).toEqual([lines[2]!.id, lines[1]!.id, lines[0]!.id]);
  expect(await ids(`batch=${id}&limit=1&metadata[ticket]=2`)).toEqual([lines[1]!.id]);
  expect(await ids(`batch=${id}&status=completed`)).toEqual([]);
  expect(await ids(`batch=${id}&environment=PROD`)).toEqual([]);
  expect(await ids(`submitted_after=${since}&metadata[ticket]=1`)).toEqual([single, lines[0]!.id]);
  expect(await ids(`metadata%5Bticket%5D=1&metadata%5Bodd%5D=${encodeURIComponent("\u2028=")}`)).toEqual([single]);
  expect(await ids(`batch=${id}&metadata[a%20b]=x%26y`)).toHaveLength(3);
  expect(await ids(`batch=${newBatchId()}`)).toMatchObject({ code: "batch_not_found" });
  expect(await ids("metadata=x")).toMatchObject({ code: "invalid_request", field: "metadata" });
  expect(await ids("metadata[]=x")).toMatchObject({ code: "invalid_request", field: "metadata" });
  expect(await ids("metadata[a]=x&metadata[a]=y")).toMatchObject({ code: "invalid_request" });

  expect(await all("cancel", { metadata: { ticket: "1" } })).toMatchObject({ matched: 2, done: 2 });
  expect([await stateOf(single), await stateOf(lines[0]!.id), await stateOf(lines[1]!.id)]).toEqual([
    "cancelled",
    "cancelled",
    "queued",
  ]);
  expect(await all("cancel", { batch: id, limit: 1 })).toMatchObject({ matched: 2, done: 2 });
});

test("retries what failed, each once; says why it could not", async () => {
  const [a, b] = [await server.enqueue(), await server.enqueue()];
  await fail(a);
  await fail(b);
  await server.context.store.eraseTexts("UAT", b);
  const first = await post("retry", { status: "failed" });
  expect(first).toMatchObject({ dry_run: false, matched: 2, done: 1, next_cursor: null });
  expect(first.errors).toEqual([{ job_id: b, code: "conflict", message: expect.stringContaining("erased") }]);
  await post("retry", { status: "failed" });
  const jobs = (await server.get(`/v1/jobs?submitted_after=${since}&status=queued`)).body.data;
  expect(jobs).toMatchObject([{ retry_of: a }]);
  expect(await all("retry", {})).toMatchObject({ matched: 2, done: 1 });
});

test("the jobs that ended with an error code", async () => {
  const [a, b, c] = [await server.enqueue(), await server.enqueue(), await server.enqueue()];
  await fail(a);
  await server.context.end(b, { status: "failed", error: { code: "context_exceeded", message: "x" } });
  await server.context.end(c, { status: "expired", error: { code: "context_exceeded", message: "x" } });
  const list = (query: string) => server.get(`/v1/jobs?submitted_after=${since}&${query}`);
  const ids = async (query: string) => (await list(query)).body.data.map(({ job_id }: { job_id: string }) => job_id);
  expect(await ids("error=context_exceeded")).toEqual([b]);
  expect(await ids("error=context_exceeded&status=expired")).toEqual([c]);
  expect(await ids("error=no_such_code")).toEqual([]);
  for (const query of ["error=context_exceeded&status=queued", "error=no%20such", "error="]) {
    expect((await list(query)).body.error, query).toMatchObject({ code: "invalid_request", field: "error" });
  }
  expect(await all("retry", { error: "context_exceeded", dry_run: true })).toMatchObject({ matched: 1, done: 0 });
  expect(await all("retry", { error: "context_exceeded" })).toMatchObject({ matched: 1, done: 1 });
  expect(await all("retry", { error: "context_exceeded", status: "expired" })).toMatchObject({ matched: 1, done: 1 });
  expect((await post("cancel", { error: "context_exceeded" })).error).toMatchObject({ code: "invalid_request" });
});

test("the lines of a batch", async () => {
  const at = Date.now();
  const id = newBatchId();
  const request = {
    environment: "UAT",
    tenant: "default",
    endpoint: "/v1/chat/completions",
    inputFileId: "file-x",
    completionWindow: "24h",
    createdAt: at,
    expiresAt: at + 86_400_000,
  };
  await insertBatch(server.context, { id, ...request });
  const lines = Array.from({ length: 5 }, (_, i) => lineJobId(id, i + 1));
  const jobs = lines.map((line, i) =>
    makeJob({ id: line, batchId: id, submittedAt: at, model: i === 0 ? "nova-lite" : "llama3-3-70b" }),
  );
  await server.context.store.insertMany([...jobs, makeJob({ submittedAt: at })]);
  expect(await all("cancel", { batch: id, model: "nova-lite" })).toMatchObject({ matched: 1, done: 1 });
  expect(await all("cancel", { batch: id, limit: 2 })).toMatchObject({ matched: 4, done: 4 });
  expect(await Promise.all(lines.map(stateOf))).toEqual(Array.from({ length: 5 }, () => "cancelled"));
  for (const batch of ["batch_000000000000000000000000", "x"]) {
    expect((await post("cancel", { batch })).error.code).toBe("batch_not_found");
  }
});

describe.each(["cancel", "retry"] as const)("bad input: %s", (what) => {
  test.each([
    ["nothing", {}, "environment"],
    ["only a limit", { limit: 5 }, "environment"],
    ["an unknown environment", { environment: "DEV" }, "environment"],
    ["an unknown state", { status: "done" }, "status"],
    ["a state that does not fit", { status: "completed" }, "status"],
    ["a limit of 0", { model: "x", limit: 0 }, "limit"],
    ["a limit in text", { model: "x", limit: "5" }, "limit"],
    ["a time", { submitted_before: "yesterday" }, "submitted_before"],
    ["a cursor", { model: "x", cursor: "nonsense" }, "cursor"],
    ["a cursor of another state", { model: "x", cursor: "completed:" }, "cursor"],
    [
      "a broken cursor",
      { status: what === "cancel" ? "queued" : "failed", cursor: `${what === "cancel" ? "queued" : "failed"}:x` },
      "cursor",
    ],
    ["an unknown field", { model: "x", colour: "red" }, "colour"],
  ])("%s", async (_name, body, field) => {
    const { status, body: answer } = await server.post(`/v1/jobs/${what}`, body);
    expect({ status, field: answer.error.field }).toEqual({ status: 400, field });
  });
});

test("the first answer finds what there is, whichever state it is in", async () => {
  const submitted_after = new Date(Date.now() - 1).toISOString();
  const model = "nova-lite";
  await server.enqueue({ model });
  const filter = { model, submitted_after, dry_run: true };
  expect((await server.post("/v1/jobs/cancel", filter)).body).toMatchObject({ matched: 1, next_cursor: null });
});

test("a key reaches its own tenant's jobs alone", async () => {
  const { key: admin } = (await server.post("/v1/keys", { name: "admin", admin: true })).body;
  const of = async (fields: object) => (await server.as(admin).post("/v1/keys", { name: "k", ...fields })).body.key;
  const [a, b] = [await of({ tenant: "a" }), await of({ tenant: "b" })];
  const submit = async (key: string) =>
    (await server.as(key).post("/enqueue", { prompt: "Why?", environment: "UAT" })).body.job_id;
  const [own, foreign] = [await submit(a), await submit(b)];
  const cancel = async (filter: object) => (await server.as(a).post("/v1/jobs/cancel", filter)).body;
  expect(await cancel({ tenant: "b", status: "queued" })).toMatchObject({ matched: 0, done: 0 });
  expect((await server.as(a).get("/v1/jobs?tenant=b")).body).toEqual({ data: [], next_cursor: null });
  expect(await cancel({ status: "queued" })).toMatchObject({ matched: 1, done: 1 });
  const state = async (id: string) => (await server.as(admin).get(`/v1/jobs/${id}`)).body.status;
  expect([await state(own), await state(foreign)]).toEqual(["cancelled", "queued"]);
  expect((await server.post("/v1/jobs/cancel", { tenant: "b" })).status).toBe(401);
});
