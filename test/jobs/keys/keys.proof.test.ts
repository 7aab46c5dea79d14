// Keys on one record, seen by several processes: in SQLite by two registries, in MongoDB by two connections.
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { systemClock } from "../../../src/domain/clock.ts";
import { keylessCaller } from "../../../src/jobs/caller.ts";
import { openKeyRegistry } from "../../../src/jobs/keys/key-registry.ts";
import { createFirstKey, createKey, listKeys, revokeKey } from "../../../src/jobs/keys/keys.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { openTestStore, testSettings } from "../../support/jobs-context.ts";
import { openTestMongo } from "../../support/mongo-store.ts";
import { withoutMongo } from "../../support/servers.ts";

vi.setConfig({ testTimeout: 60_000 });

const settings = testSettings();
const log = pino({ level: "silent" });
const clock = systemClock;

async function openPair(kind: "SQLite" | "MongoDB"): Promise<[JobStore, JobStore]> {
  if (kind === "SQLite") {
    const { store, close } = await openTestStore();
    onTestFinished(close);
    return [store, store];
  }
  const mongo = await openTestMongo();
  onTestFinished(() => mongo.cleanup());
  return [mongo.store, await mongo.openAnother()];
}

function registryOf(store: JobStore, setTenantWeights = vi.fn(async () => {})) {
  const opened = openKeyRegistry({
    settings,
    store,
    clock,
    log,
    scheduler: { setTenantWeights: setTenantWeights },
  });
  onTestFinished(async () => (await opened).close());
  return opened;
}

describe.each(["SQLite", "MongoDB"] as const)("%s", (kind) => {
  const run = test.skipIf(kind === "MongoDB" && withoutMongo());

  run("of many first starts at once one makes the admin key; later ones make none", async () => {
    const stores = await openPair(kind);
    const starts = Array.from({ length: 8 }, (_, i) => createFirstKey({ settings, store: stores[i % 2]!, clock, log }));
    const made = (await Promise.all(starts)).filter((key) => key !== undefined);
    expect(made).toHaveLength(1);
    const registry = await registryOf(stores[1]);
    const caller = await registry.authenticate(`Bearer ${made[0]!.text}`);
    expect(caller).toEqual({ tenant: "default", keyId: "first", keyName: "admin", admin: true });

    await revokeKey({ settings, store: stores[0], clock, log }, "first", keylessCaller);
    expect(await createFirstKey({ settings, store: stores[1], clock, log })).toBeUndefined();
    await registry.refresh();
    // Closed, not open again: there was a key once.
    await expect(registry.authenticate(undefined)).rejects.toMatchObject({ code: "unauthenticated" });
    await expect(registry.authenticate(`Bearer ${made[0]!.text}`)).rejects.toThrow("revoked");
  });

  run("a process that knows no keys looks up a key that a call carries, once", async () => {
    const [here, there] = await openPair(kind);
    const registry = await registryOf(there);
    const get = vi.spyOn(there.records, "get");
    onTestFinished(() => get.mockRestore());
    const other = `Bearer sk-sluice-other-${"x".repeat(50)}`;
    expect(await registry.authenticate(other)).toBe(keylessCaller);
    expect(await registry.authenticate(other)).toBe(keylessCaller);
    expect(await registry.authenticate("Bearer sk-anything")).toBe(keylessCaller);
    expect(get.mock.calls.filter(([, ids]) => ids.some((id) => id.includes("other")))).toHaveLength(1);
    const { key, record } = await createKey({ settings, store: here, clock, log }, { name: "k" }, keylessCaller);
    expect(await registry.authenticate(`Bearer ${key.text}`)).toMatchObject({ tenant: "k", keyId: record.id });
    await expect(registry.authenticate(other)).rejects.toThrow("unknown");
  });

  run("another process takes a new key at once, and refuses a revoked one within seconds", async () => {
    const [here, there] = await openPair(kind);
    await createKey({ settings, store: here, clock, log }, { name: "before" }, keylessCaller);
    const registry = await registryOf(there);
    const { key, record } = await createKey(
      { settings, store: here, clock, log },
      { name: "k", weight: 3, maxWaiting: 2 },
      keylessCaller,
    );
    expect(await registry.authenticate(`Bearer ${key.text}`)).toMatchObject({ tenant: "k", keyId: record.id });
    expect(registry.limited).toEqual([record.id]);
    await revokeKey({ settings, store: here, clock, log }, record.id, keylessCaller);
    await vi.waitFor(() => expect(registry.authenticate(`Bearer ${key.text}`)).rejects.toThrow("revoked"), {
      timeout: 20_000,
      interval: 200,
    });
    expect((await listKeys({ store: there })).map(({ name }) => name)).toEqual(["before", "k"]);
  });
});

test("weights are told when they change, and again although they have not: the queue may have lost them", async () => {
  const [store] = await openPair("SQLite");
  let now = 0;
  const setTenantWeights = vi.fn(async (_weights: Record<string, number>) => {});
  const timed = { now: () => now, wall: () => Date.now() };
  const registry = await openKeyRegistry({
    settings,
    store,
    clock: timed,
    log,
    scheduler: { setTenantWeights: setTenantWeights },
  });
  onTestFinished(() => registry.close());
  expect(setTenantWeights.mock.calls).toEqual([[{}]]);
  await createKey({ settings, store, clock, log }, { name: "t", weight: 3 }, keylessCaller);
  setTenantWeights.mockRejectedValueOnce(new Error("away"));
  await registry.refresh();
  await registry.refresh();
  await registry.refresh();
  expect(setTenantWeights.mock.calls.slice(1)).toEqual([[{ t: 3 }], [{ t: 3 }]]);
  now += 31_000;
  await registry.refresh();
  expect(setTenantWeights).toHaveBeenCalledTimes(4);
});

test("while the store is unreachable, known keys keep working, and an unknown one is not refused permanently", async () => {
  const [store] = await openPair("SQLite");
  const { key } = await createKey({ settings, store, clock, log }, { name: "k" }, keylessCaller);
  const registry = await registryOf(store);
  vi.spyOn(store.records, "list").mockRejectedValue(new Error("away"));
  vi.spyOn(store.records, "get").mockRejectedValue(new Error("away"));
  onTestFinished(() => void vi.restoreAllMocks());
  expect(await registry.authenticate(`Bearer ${key.text}`)).toMatchObject({ tenant: "k" });
  await expect(registry.authenticate(`Bearer sk-sluice-other-${"x".repeat(50)}`)).rejects.toThrow("away");
});

test("F11: unchanged keys are not read again, and a wrong one costs one look-up", async () => {
  const [store] = await openPair("SQLite");
  let now = 0;
  const timed = { now: () => now, wall: () => Date.now() };
  const { key } = await createKey({ settings, store, clock, log }, { name: "k" }, keylessCaller);
  const registry = await openKeyRegistry({
    settings,
    store,
    clock: timed,
    log,
    scheduler: { setTenantWeights: async () => {} },
  });
  onTestFinished(() => registry.close());
  const list = vi.spyOn(store.records, "list");
  const get = vi.spyOn(store.records, "get");
  onTestFinished(() => void vi.restoreAllMocks());
  // The comparison of every two seconds asks for one record, and reads no key.
  await vi.waitFor(() => expect(get).toHaveBeenCalled(), { timeout: 20_000, interval: 100 });
  expect(list).not.toHaveBeenCalled();
  now += 1_000;
  const wrong = Array.from({ length: 50 }, (_, i) =>
    registry.authenticate(`Bearer sk-sluice-wrong${i}-${"x".repeat(50)}`).catch((error) => error.code),
  );
  expect(new Set(await Promise.all(wrong))).toEqual(new Set(["unauthenticated"]));
  expect(list).not.toHaveBeenCalled();
  expect(await registry.authenticate(`Bearer ${key.text}`)).toMatchObject({ tenant: "k" });
});

test("F11: a key that is revoked while all are read stays revoked", async () => {
  const [store] = await openPair("SQLite");
  const { key, record } = await createKey({ settings, store, clock, log }, { name: "k" }, keylessCaller);
  const registry = await registryOf(store);
  const list = store.records.list.bind(store.records);
  vi.spyOn(store.records, "list").mockImplementationOnce(async (...query) => {
    const before = await list(...query);
    await registry.note(await revokeKey({ settings, store, clock, log }, record.id, keylessCaller));
    return before;
  });
  onTestFinished(() => void vi.restoreAllMocks());
  await registry.refresh();
  await expect(registry.authenticate(`Bearer ${key.text}`)).rejects.toThrow("revoked");
});
