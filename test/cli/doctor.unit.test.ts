// What the doctor makes of what servers tell about themselves, and how its lines are broken.
import { expect, test } from "vitest";
import { wrapped } from "../../src/cli/terminal.ts";
import type { RedisFacts } from "../../src/scheduler/redis/inspect-redis.ts";
import { clockFinding, isAtLeast, isLocalAddress } from "../../src/service/doctor/findings.ts";
import { mongoFindings } from "../../src/service/doctor/mongo-check.ts";
import { redisFindings } from "../../src/service/doctor/redis-check.ts";
import { retentionFindings } from "../../src/service/doctor/retention-check.ts";
import type { MongoFacts } from "../../src/store/mongo/inspect-mongo.ts";

const local = "redis://127.0.0.1:6379";
const redis: RedisFacts = {
  ...{ kind: "Redis", version: "7.4.2", redisVersion: "7.4.2", role: "master", evictionPolicy: "noeviction" },
  ...{ isCluster: false, runsScripts: true, clockAheadMs: 20 },
};
const mongo: MongoFacts = {
  ...{ kind: "MongoDB", version: "7.0.15", isReplicated: true, isPrimary: true, usesTls: true },
  ...{ writeConcern: undefined, clockAheadMs: -20 },
};

/** Those that are not ok, by check. */
function problems(findings: { check: string; status: string; text: string }[]): Record<string, string> {
  return Object.fromEntries(
    findings.filter(({ status }) => status !== "ok").map(({ check, status, text }) => [check, `${status}: ${text}`]),
  );
}

test("healthy servers have nothing to fix", () => {
  expect(problems(redisFindings(redis, local))).toEqual({});
  expect(problems(mongoFindings(mongo, "mongodb://db.example.com"))).toEqual({});
  const valkey = { ...redis, kind: "Valkey", version: "8.0.1", redisVersion: "7.2.4" };
  expect(redisFindings(valkey, local)).toContainEqual({
    check: "redis version",
    status: "ok",
    text: "The server is Valkey 8.0.1.",
  });
});

test.each<[Partial<RedisFacts>, string, string, RegExp]>([
  [{ version: "6.0.16", redisVersion: "6.0.16" }, local, "redis version", /^fix: .*Redis 6\.0\.16.*upgrade it/],
  [
    { kind: "Dragonfly", version: "1.2" },
    local,
    "redis version",
    /^fix: The server is Dragonfly 1\.2\..*Valkey; use one of them/,
  ],
  [{ version: undefined, redisVersion: undefined }, local, "redis version", /^skip: /],
  [
    { evictionPolicy: "allkeys-lru" },
    local,
    "redis eviction",
    /^fix: maxmemory-policy is allkeys-lru.*CONFIG SET maxmemory-policy noeviction/,
  ],
  [{ evictionPolicy: undefined }, local, "redis eviction", /^skip: .*Check that it is noeviction/],
  [{ role: "slave" }, local, "redis role", /^fix: The server is a replica.*Name the primary/],
  [{ runsScripts: false }, local, "redis scripts", /^fix: .*Allow the commands EVAL/],
  [
    { clockAheadMs: 61_000 },
    local,
    "redis clock",
    /^fix: The clock of Redis is 61\.0 s ahead of this machine's\..*NTP/,
  ],
  [{}, "redis://redis.example.com", "redis tls", /^note: .*rediss:\/\//],
])("Redis: %j at %s", (facts, url, check, text) => {
  const found = problems(redisFindings({ ...redis, ...facts }, url));
  expect(Object.keys(found)).toEqual([check]);
  expect(found[check]).toMatch(text);
});

test.each<[Partial<MongoFacts>, string, RegExp]>([
  [{ isReplicated: false }, "mongodb majority", /^fix: The server stands alone.*--replSet rs0, run rs\.initiate\(\)/],
  [{ isPrimary: false }, "mongodb majority", /^fix: The server takes no writes\. Name all members and replicaSet/],
  [{ version: "5.0.31" }, "mongodb version", /^fix: .*MongoDB 5\.0\.31.*upgrade it/],
  [{ writeConcern: "1" }, "mongodb write concern", /^note: .*w=1 in MONGODB_URL has no effect\. Remove it/],
  [{ usesTls: false }, "mongodb tls", /^note: .*tls=true/],
  [{ clockAheadMs: -9_000 }, "mongodb clock", /^fix: The clock of MongoDB is 9\.0 s behind/],
  [{ clockAheadMs: undefined }, "mongodb clock", /^skip: /],
  [{ kind: "Amazon DocumentDB", version: "5.0.0" }, "mongodb version", /^note: .*tested with MongoDB 6 or later/],
])("MongoDB: %j", (facts, check, text) => {
  const found = problems(mongoFindings({ ...mongo, ...facts }, "mongodb://db.example.com"));
  expect(Object.keys(found)).toEqual([check]);
  expect(found[check]).toMatch(text);
});

test("versions, addresses and clocks", () => {
  expect(["6.2.0", "6.10", "7.0", "6.1.9", "x", undefined].map((v) => isAtLeast(v, 6, 2))).toEqual([
    ...[true, true, true, false, undefined, undefined],
  ]);
  expect(["redis://u:p@localhost:1", "redis://[::1]", "mongodb://127.0.0.1,h"].map(isLocalAddress)).toEqual([
    true,
    true,
    false,
  ]);
  expect(isLocalAddress("redis://localhost.example.com")).toBe(false);
  expect(clockFinding("c", "X", 4_999).status).toBe("ok");
});

test("a text is broken between words", () => {
  expect(wrapped("one two three four", 9)).toEqual(["one two", "three", "four"]);
  expect(wrapped("a-word-that-is-too-long x", 5)).toEqual(["a-word-that-is-too-long", "x"]);
  expect(wrapped("", 5)).toEqual([""]);
});

test("retention: what is kept, what is late, and which files cannot shrink", () => {
  const at = "2026-12-01T09:00:00.000Z";
  const report = { store_bytes: 5 * 1024 ** 3, free_bytes: 0, fixed_databases: [], keeps_all: true, rounds: [] };
  expect(problems(retentionFindings(report, 6 * 1024 ** 3))).toEqual({});
  expect(problems(retentionFindings(report, 4 * 1024 ** 3)).retention).toMatch(
    /^note: The store has 5\.0 GiB.*Everything is kept\. Set ages/,
  );
  const aged = { ...report, keeps_all: false };
  expect(problems(retentionFindings(aged, 1)).retention).toMatch(/^note: .*no round has ended yet/);
  const round = { environment: "UAT", finished_at: at, late_seconds: { texts: 60 } };
  expect(problems(retentionFindings({ ...aged, rounds: [round] }, 1))).toEqual({});
  const late = { ...round, late_seconds: { texts: 90_000 } };
  expect(problems(retentionFindings({ ...aged, rounds: [late] }, 1)).retention).toMatch(
    /^fix: .*Due, but not removed: texts of UAT for 25 hours\./,
  );
  const failed = { ...late, error: "EACCES: permission denied" };
  expect(problems(retentionFindings({ ...aged, rounds: [failed] }, 1)).retention).toMatch(
    /^fix: .*texts of UAT for 25 hours\. The last round failed\. UAT: EACCES: permission denied$/,
  );
  const fixed = { ...aged, rounds: [round], fixed_databases: ["SSP-dev"] };
  expect(problems(retentionFindings(fixed, 1))).toEqual({
    "store files": expect.stringMatching(/^note: .*SSP-dev.*run once: sluice compact$/),
  });
});
