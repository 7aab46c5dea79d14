// sluice usage, pause, resume, cancel and retry: what they ask of the service, and what they print.
import { expect, test, vi } from "vitest";
import { answering, run } from "./support.ts";

// Every command is a process of its own, and they share the machine with the other tests.
vi.setConfig({ testTimeout: 120_000 });

const sums = {
  jobs: 2,
  attempts: 3,
  attempts_without_end: 1,
  attempts_estimated: 1,
  attempts_without_price: 0,
  input_tokens: 1000,
  input_tokens_estimated: 700,
  output_tokens: 20,
  output_tokens_estimated: 15,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  cost_usd: 0.0123,
  cost_usd_estimated: 0.01,
};

test("A2: usage prints a table, and which part of it is an estimate", async () => {
  const body = {
    from: "x",
    to: "y",
    group_by: ["tenant", "key"],
    data: [{ tenant: "a", key: null, ...sums }],
    total: sums,
  };
  const service = await answering([{ body }]);
  const args = ["usage", "--by", "tenant,key", "--from", "2030-01-01", "--environment", "UAT", "--url", service.url];
  const { code, stdout } = await run(args);
  expect(code).toBe(0);
  expect(stdout.trimEnd().split("\n")).toEqual([
    "tenant  key  jobs  calls  input  output  cache read  cache write     cost",
    "a       -       2      3  1,000      20           0            0  $0.0123",
    "total           2      3  1,000      20           0            0  $0.0123",
    "Calls that run or have no known result: 1. They may have been billed.",
    "Calls without known usage, which count as estimates: 1 (700 input tokens, 15 output tokens, $0.0100).",
  ]);
  expect(service.asked[0]!.url).toBe("/v1/usage?group_by=tenant%2Ckey&from=2030-01-01&environment=UAT");
});

test("pause, what is paused, and resume", async () => {
  const none = { model: null, deployment: null, tenant: null, environment: null };
  const paused = { ...none, tenant: "a", environment: "UAT", paused_at: "2030-01-01T00:00:00Z" };
  const service = await answering([
    { body: paused },
    { body: { data: [paused, { ...none, model: "m", paused_at: "t" }] } },
    { body: { ...paused, paused_at: null } },
  ]);
  const target = ["--tenant", "a", "--environment", "UAT", "--url", service.url];
  expect((await run(["pause", ...target])).stdout).toBe("Paused the tenant a in UAT at 2030-01-01T00:00:00Z.\n");
  expect((await run(["pause", "--url", service.url])).stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
    ["paused", "since"],
    ["the tenant a in UAT", "2030-01-01T00:00:00Z"],
    ["the model m", "t"],
    [""],
  ]);
  expect((await run(["resume", ...target])).stdout).toBe("Resumed the tenant a in UAT.\n");
  const body = { tenant: "a", environment: "UAT" };
  expect(service.asked).toEqual([
    { method: "POST", url: "/v1/pause", body },
    { method: "GET", url: "/v1/pauses", body: undefined },
    { method: "POST", url: "/v1/resume", body },
  ]);
});

test("cancel one job, or all that fit, portion by portion; retry says what it could not do", async () => {
  const error = { job_id: "j", code: "conflict", message: "erased" };
  const service = await answering([
    { body: { job_id: "j1", status: "cancelled" } },
    { body: { matched: 2, done: 2, errors: [], next_cursor: "queued:x" } },
    { body: { matched: 1, done: 1, errors: [], next_cursor: null } },
    { body: { matched: 2, done: 1, errors: [error], next_cursor: null } },
  ]);
  const url = ["--url", service.url];
  expect((await run(["cancel", "j1", ...url])).stdout).toBe("j1 is cancelled.\n");
  const filter = ["--environment", "UAT", "--submitted-after", "2030-01-01T00:00:00Z"];
  expect((await run(["cancel", ...filter, ...url])).stdout).toBe("3 jobs of 3 cancelled.\n");
  const retried = await run(["retry", "--status", "failed", ...url]);
  expect(retried).toMatchObject({ code: 1, stdout: "1 job of 2 submitted again.\n", stderr: "j: conflict: erased\n" });
  const body = { environment: "UAT", submitted_after: "2030-01-01T00:00:00Z" };
  expect(service.asked).toEqual([
    { method: "POST", url: "/v1/jobs/j1/cancel", body: undefined },
    { method: "POST", url: "/v1/jobs/cancel", body },
    { method: "POST", url: "/v1/jobs/cancel", body: { ...body, cursor: "queued:x" } },
    { method: "POST", url: "/v1/jobs/retry", body: { status: "failed" } },
  ]);
});

test.each([
  [["cancel"], /either a job or at least one filter/],
  [["cancel", "j1", "--model", "m"], /either a job or at least one filter/],
  [["cancel", "--status", "done"], /Allowed choices are queued/],
  [["usage", "--from", "yesterday"], /Allowed: a day such as 2030-01-31/],
  [["usage", "--by", "colour"], /Allowed: any of day, key/],
  [["pause", "--model", "m", "--tenant", "t"], /cannot be used with/],
])("%o is refused before anything is asked", async (args, message) => {
  const { code, stderr } = await run(args);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(message);
});
