// GET /v1/usage: what was used, by whom and when, each call once.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import type { Job } from "../../src/domain/job.ts";
import { beginning, makeJob, mustBegin } from "../store/conformance/support.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const dayMs = 86_400_000;
const day = (n: number) => Date.UTC(2026, 4, n);

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest();
});
afterAll(() => server.close());

/** One call on a day of May 2026; without `used` its result is unknown. */
async function call(at: number, fields: Partial<Job>, used?: { input: number; output: number; nanoUsd?: number }) {
  const { store } = server.context;
  const job = makeJob({ submittedAt: at, ...fields });
  await store.insertMany([job]);
  const { n } = await mustBegin(store, beginning(job));
  if (!used) return { job, n };
  const { nanoUsd, ...usage } = used;
  const end = { result: "completed" as const, at, usage, ...(nanoUsd !== undefined && { costNanoUsd: nanoUsd }) };
  // Said twice, as after a lost reply.
  for (let i = 0; i < 2; i++)
    await store.finish(job.environment, { jobId: job.id, status: "completed", at }, { n, end });
  return { job, n };
}

function at(now: number) {
  server.context.clock = { ...systemClock, wall: () => now };
}

const none = {
  attempts_without_end: 0,
  attempts_estimated: 0,
  attempts_without_price: 0,
  input_tokens_estimated: 0,
  output_tokens_estimated: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  cost_usd_estimated: 0,
};
const sums = (jobs: number, input: number, output: number, usd: number) => ({
  ...none,
  jobs,
  attempts: jobs,
  input_tokens: input,
  output_tokens: output,
  cost_usd: usd,
});

describe("sums", () => {
  beforeAll(async () => {
    await call(day(1), { tenant: "a", keyId: "k1", model: "m1" }, { input: 1, output: 2, nanoUsd: 3 });
    await call(day(1) + dayMs - 1, { tenant: "a", keyId: "k2", model: "m1" }, { input: 10, output: 20, nanoUsd: 30 });
    await call(day(2), { tenant: "b", model: "m2", environment: "PROD" }, { input: 100, output: 200, nanoUsd: 300 });
    await call(day(3), { tenant: "a", keyId: "k1", model: "m1" }, { input: 1000, output: 2000, nanoUsd: 3000 });
  });

  test.each([
    [
      "from=2026-05-01&to=2026-05-02",
      [
        { day: "2026-05-01", ...sums(2, 11, 22, 33e-9) },
        { day: "2026-05-02", ...sums(1, 100, 200, 3e-7) },
      ],
    ],
    [
      "from=2026-05-01&to=2026-05-03&group_by=tenant",
      [
        { tenant: "a", ...sums(3, 1011, 2022, 3.033e-6) },
        { tenant: "b", ...sums(1, 100, 200, 3e-7) },
      ],
    ],
    [
      "from=2026-05-01&to=2026-05-01&group_by=key",
      [
        { key: "k1", ...sums(1, 1, 2, 3e-9) },
        { key: "k2", ...sums(1, 10, 20, 3e-8) },
      ],
    ],
    [
      "from=2026-05-02&to=2026-05-02&group_by=key,model,environment",
      [{ key: null, model: "m2", environment: "PROD", ...sums(1, 100, 200, 3e-7) }],
    ],
    ["from=2026-05-01&to=2026-05-03&group_by=", [sums(4, 1111, 2222, 3.333e-6)]],
    ["from=2026-05-01&to=2026-05-03&group_by=&environment=UAT&tenant=a&model=m1", [sums(3, 1011, 2022, 3.033e-6)]],
    ["from=2026-05-01&to=2026-05-03&tenant=other", []],
  ])("%s", async (query, data) => {
    // Read as it comes, twice from what is kept, and long after.
    for (const now of [day(3) + 7_200_000, day(3) + 7_300_000, day(6), day(7), day(30)]) {
      at(now);
      const { status, body } = await server.get(`/v1/usage?${query}`);
      expect(status).toBe(200);
      expect(body.data).toEqual(data);
      const total = data.reduce((sum, row) => sum + row.input_tokens, 0);
      expect(body.total).toMatchObject({ input_tokens: total });
    }
  });
});

test("A2: a call without a known result counts at its estimate until it has ended; what has no price says so", async () => {
  const { job, n } = await call(day(10), { tenant: "late" });
  const read = async () => (await server.get("/v1/usage?from=2026-05-10&to=2026-05-10&group_by=")).body.data;
  at(day(13));
  const estimated = { attempts_estimated: 1, input_tokens_estimated: 21, output_tokens_estimated: 100 };
  const unknown = { attempts_without_end: 1, attempts_without_price: 1, ...estimated };
  expect(await read()).toEqual([{ ...sums(1, 21, 100, 0), ...unknown }]);
  // An answer that the worker kept while the store was unreachable.
  const end = { result: "completed" as const, at: day(13), usage: { input: 5, output: 6 } };
  await server.context.store.finish("UAT", { jobId: job.id, status: "completed", at: day(13) }, { n, end });
  expect(await read()).toEqual([{ ...sums(1, 5, 6, 0), attempts_without_price: 1 }]);
});

test.each([
  ["from=yesterday", "from"],
  ["from=2026-02-30", "from"],
  ["to=2026-13-01", "to"],
  ["from=2026-05-02&to=2026-05-01", "to"],
  ["from=2020-01-01&to=2026-05-01", "from"],
  ["group_by=colour", "group_by"],
  ["group_by=day,,key", "group_by"],
  ["environment=DEV", "environment"],
  ["colour=red", "colour"],
])("bad input: %s", async (query, field) => {
  at(day(3));
  const { status, body } = await server.get(`/v1/usage?${query}`);
  expect(status).toBe(400);
  expect(body.error.field).toBe(field);
});

test("a key sees its own tenant's and its environments' alone, an admin key all", async () => {
  at(day(5));
  const { key: admin } = (await server.post("/v1/keys", { name: "admin", admin: true })).body;
  const of = async (fields: object) => (await server.as(admin).post("/v1/keys", { name: "k", ...fields })).body.key;
  const read = async (key: string, query = "") =>
    (await server.as(key).get(`/v1/usage?from=2026-05-01&to=2026-05-03&group_by=tenant,environment${query}`)).body;
  const seen = async (key: string, query?: string) =>
    (await read(key, query)).data.map((row: { tenant: string; environment: string }) => [row.tenant, row.environment]);
  const all = [
    ["a", "UAT"],
    ["b", "PROD"],
  ];
  expect(await seen(admin)).toEqual(all);
  const own = await of({ tenant: "a" });
  expect(await seen(own)).toEqual([all[0]]);
  expect(await seen(own, "&tenant=a")).toEqual([all[0]]);
  expect(await seen(own, "&tenant=b")).toEqual([]);
  const uat = await of({ tenant: "b", environments: ["UAT"] });
  expect(await seen(uat)).toEqual([]);
  expect((await read(uat, "&environment=PROD")).error.code).toBe("forbidden");
  expect((await server.get("/v1/usage")).status).toBe(401);
});
