// Fair shares as those see them who use the service: keys of several tenants, files and batches over HTTP, the real
// simulator behind a quota that binds. When a job started and ended is read from its own record.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { jainIndex, type SharedService, startSharedService, type Tenant } from "./support.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

/** Lines that may be called while the last ones are not stored yet. */
const started = 200;

/** Slow enough that a slot of the quota is long beside what a busy machine takes for anything. */
const perMinute = 120;
const slotMs = 60_000 / perMinute;
/** Declared in the configuration. */
const jitterMs = 300;
const chats = 5;
const sharingMs = 20_000;

describe.each([
  { form: "embedded" as const, waiting: 100_000 },
  // FerretDB reads whole collections for what others read an index.
  { form: "distributed" as const, waiting: 600 },
])("$form, $waiting jobs of one tenant wait", ({ form, waiting }) => {
  if (form === "distributed" && (withoutMongo() || withoutRedis())) return test.skip("without servers", () => {});
  let service: SharedService;
  let flood: Tenant;
  beforeAll(async () => {
    service = await startSharedService(form, perMinute, jitterMs);
    flood = await service.tenant("flood");
    await flood.submitBatch(waiting + started);
    expect(await flood.waiting()).toBeGreaterThanOrEqual(waiting);
  });
  afterAll(() => service?.close());

  /** How long chats waited that were sent one after the other; milliseconds from acceptance to the call. */
  async function waitsOf(tenant: Tenant): Promise<number[]> {
    const waits: number[] = [];
    for (let i = 0; i < chats; i++) {
      const { attempts, created_at } = await tenant.chat();
      waits.push(Date.parse(attempts[0]!.started_at) - Date.parse(created_at));
    }
    return waits;
  }

  test("a chat of another tenant starts within one slot of the quota", async () => {
    const quiet = await service.tenant("quiet");
    expect(Math.max(...(await waitsOf(quiet)))).toBeLessThanOrEqual(slotMs + jitterMs);
  });

  test("if the flood has chats too, every second slot is the other tenant's", async () => {
    const quiet = await service.tenant("quiet too");
    await flood.submitJobs(chats * 3, "interactive");
    const waits = await waitsOf(quiet);
    // On average: who comes back after its turn finds the other's next call charged already, or not yet.
    expect(waits.reduce((a, b) => a + b) / waits.length).toBeLessThanOrEqual(2 * slotMs + jitterMs);
    await flood.cancelAll("interactive");
  });

  test("tenants of one weight share alike, however much of theirs waits", async () => {
    const others = await Promise.all(["a", "b", "c"].map((name) => service.tenant(name)));
    await Promise.all(others.map((tenant) => tenant.submitBatch(60)));
    for (const tenant of others) {
      await vi.waitFor(async () => expect(await tenant.completed()).not.toEqual([]), {
        timeout: 20_000,
        interval: 500,
      });
    }
    const from = Date.now();
    await sleep(sharingMs + 1_000);
    const ends = await Promise.all([flood, ...others].map((tenant) => tenant.completed()));
    const counts = ends.map((times) => times.filter((at) => at >= from && at < from + sharingMs).length);
    // The quota binds: nothing of it was left unused.
    expect(counts.reduce((a, b) => a + b)).toBeGreaterThan(0.9 * (sharingMs / slotMs));
    expect(jainIndex(counts), counts.join(", ")).toBeGreaterThanOrEqual(0.99);
    for (const tenant of others) expect(await tenant.waiting()).toBeGreaterThan(0);
    expect(service.throttled()).toBe(0);
  });
});
