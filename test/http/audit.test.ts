// The audit log over HTTP: filters, pages, and what leaves no entry.
import { describe, expect, vi } from "vitest";
import type { Clock } from "../../src/domain/clock.ts";
import { SluiceError } from "../../src/domain/errors.ts";
import { newJobId } from "../../src/domain/ids.ts";
import { auditEntries, auditIdOf } from "../../src/jobs/audit/audit-entry.ts";
import { auditKeptMs, removeOldAudit } from "../../src/jobs/audit/read-audit.ts";
import { test } from "../support/fixtures.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

const start = Date.parse("2030-01-31T12:00:00Z");
let now = start;
const clock: Clock = { now: () => now - start, wall: () => now };

let server: ServerUnderTest;
test.beforeAll(async ({ shareServer }) => {
  server = await shareServer({}, { clock });
});

async function audit(query = ""): Promise<{ data: Entry[]; next_cursor: string | null }> {
  const { status, text, body } = await server.get(`/v1/audit${query}`);
  if (status !== 200) throw new Error(text);
  return body;
}

interface Entry {
  id: string;
  at: string;
  action: string;
  target: { type: string; id: string } | null;
  details: Record<string, unknown>;
  result: string;
}

describe("a page", () => {
  test("has the newest first, and the next one continues where it ended", async () => {
    // Several at a time: entries of one millisecond keep their order.
    for (let i = 0; i < 7; i++) {
      now = start + Math.floor(i / 3) * 1000;
      await server.post("/v1/pause", { tenant: `t${i}` });
    }
    const all = (await audit()).data;
    expect(all.map(({ target }) => target!.id)).toEqual(["t6", "t5", "t4", "t3", "t2", "t1", "t0"]);
    expect(all[0]).toEqual({
      id: expect.any(String),
      at: "2030-01-31T12:00:02.000Z",
      action: "calls.pause",
      actor: { kind: "no_key", key_id: null, key_name: null, tenant: null, admin: false, address: "127.0.0.1" },
      target: { type: "tenant", id: "t6" },
      details: {},
      count: null,
      result: "ok",
    });
    const paged: Entry[] = [];
    for (let cursor = ""; ; ) {
      const { data, next_cursor } = await audit(`?limit=2${cursor}`);
      paged.push(...data);
      expect(data.length).toBe(next_cursor === null ? 1 : 2);
      if (next_cursor === null) break;
      cursor = `&cursor=${next_cursor}`;
    }
    expect(paged).toEqual(all);
    expect((await audit("?limit=7")).next_cursor).toBeNull();
  });

  test.each([
    ["?target=t3", ["t3"]],
    ["?action=calls.pause&limit=1", ["t6"]],
    ["?action=key.create", []],
    ["?key=abc", []],
    ["?from=2030-01-31T12:00:01Z&to=2030-01-31T12:00:02Z", ["t5", "t4", "t3"]],
    ["?from=2030-01-31T12:00:02Z", ["t6"]],
    ["?to=2030-01-31T12:00:01Z", ["t2", "t1", "t0"]],
    ["?from=2030-02-01T00:00:00Z", []],
  ])("%s has %j", async (query, targets) => {
    expect((await audit(query)).data.map(({ target }) => target!.id)).toEqual(targets);
  });

  test("follows a filter that matches little, and pages end at the same place", async () => {
    const { next_cursor } = await audit("?target=t3&limit=1");
    expect((await audit(`?target=t3&limit=1&cursor=${next_cursor}`)).data).toEqual([]);
    const { data } = await audit(`?to=2030-01-31T12:00:01Z&cursor=${(await audit("?limit=1")).next_cursor}`);
    expect(data.map(({ target }) => target!.id)).toEqual(["t2", "t1", "t0"]);
  });

  test.each([
    ["action=submit", "action"],
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["cursor=x", "cursor"],
    ["from=yesterday", "from"],
    ["actor=x", "actor"],
  ])("?%s is refused", async (query, field) => {
    const { status, body } = await server.get(`/v1/audit?${query}`);
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: "invalid_request", field });
  });
});

describe("an action", () => {
  test("that is refused, or that only counts, leaves no entry", async () => {
    const before = (await audit()).data;
    const jobId = await server.enqueue();
    const nowhere = "01a207b1-d804-714a-9b28-0f7074ddb0e8";
    const refused = await Promise.all([
      server.post(`/v1/jobs/${nowhere}/cancel`),
      server.post(`/v1/jobs/${jobId}/retry`),
      server.post("/v1/batches/batch_x/retry"),
      server.post("/v1/quotas/nosuch/reset"),
      server.post("/v1/keys/sk-sluice-abc-planted/revoke"),
      server.post("/v1/keys", { name: "" }),
      server.post("/v1/pause", { model: "nosuch" }),
    ]);
    expect(refused.map(({ status }) => status)).toEqual([404, 409, 404, 404, 404, 400, 404]);
    expect((await server.post("/v1/jobs/cancel", { environment: "UAT", dry_run: true })).body.matched).toBe(1);
    expect((await audit()).data).toEqual(before);
  });

  test("that fails may have had an effect: its entry has the code of the error", async () => {
    const jobId = await server.enqueue();
    const { scheduler } = server.context;
    vi.spyOn(scheduler, "resume").mockRejectedValueOnce(new SluiceError("unavailable", "Redis is unreachable."));
    expect((await server.post("/v1/resume", { tenant: "t6" })).status).toBe(503);
    vi.spyOn(server.context.store, "finish").mockRejectedValueOnce(new Error("planted detail"));
    expect((await server.post(`/v1/jobs/${jobId}/cancel`)).status).toBe(500);
    const { data } = await audit("?limit=2");
    expect(data.map(({ action, target, result }) => [action, target!.id, result])).toEqual([
      ["job.cancel", jobId, "internal"],
      ["calls.resume", "t6", "unavailable"],
    ]);
    expect(JSON.stringify(data)).not.toContain("planted");
  });

  test("stands if its entry cannot be stored; then the log has the entry", async () => {
    const { records } = server.context.store;
    const jobId = await server.enqueue();
    const insert = vi.spyOn(records, "insert").mockImplementation(async (place) => {
      throw new Error(`no space for ${place.collection}`);
    });
    expect((await server.post(`/v1/jobs/${jobId}/cancel`)).body.status).toBe("cancelled");
    insert.mockRestore();
    const line = server.context.logged.find((text) => text.includes("failed to record an action in the audit log"));
    expect(JSON.parse(line!)).toMatchObject({
      err: { message: "no space for audit" },
      entry: { action: "job.cancel", target: { type: "job", id: jobId }, result: "ok" },
    });
    expect((await audit(`?target=${jobId}`)).data).toEqual([]);
  });

  test("with a long filter has its beginning", async () => {
    await server.post("/v1/jobs/cancel", { model: "x".repeat(5000), tenant: "t" });
    const [entry] = (await audit("?limit=1")).data;
    expect(entry!.details).toEqual({ model: `${"x".repeat(200)}...`, tenant: "t" });
  });
});

test("a page examines a bounded number of entries", async () => {
  const { store } = server.context;
  const at = start + 60_000;
  const many = Array.from({ length: 2_500 }, (_, i) => auditIdOf(at + i, newJobId()));
  const entry = { actor: { kind: "no_key" }, action: "job.retry", result: "ok" } as const;
  await auditEntries(store).insertAll(many.map((id, i) => ({ id, value: { ...entry, id, at: at + i } })));
  const first = await audit("?target=t0");
  expect(first).toEqual({ data: [], next_cursor: many[500] });
  const { data, next_cursor } = await audit(`?target=t0&cursor=${first.next_cursor}`);
  expect(data.map(({ target }) => target!.id)).toEqual(["t0"]);
  expect(next_cursor).toBeNull();
  await auditEntries(store).remove(...many);
});

test("entries are removed after 400 days, and no earlier", async () => {
  const { context } = server;
  const count = async () => (await auditEntries(context.store).list(1000)).length;
  const before = await count();
  now = start + auditKeptMs;
  await removeOldAudit(context);
  expect(await count()).toBe(before);
  // Those of the first second.
  now = start + auditKeptMs + 1;
  await removeOldAudit(context);
  expect(await count()).toBe(before - 3);
});
