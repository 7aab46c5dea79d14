// Fair shares as those see them who use the service: keys of several tenants, files and batches over HTTP, the real
// simulator behind a quota that binds. When a job started and ended is read from its own record.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { floodPrompt, jainIndex, type SharedService, startSharedService, type Tenant } from "./support.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

/** Lines that may be called while the last ones are not stored yet. */
const started = 200;

/** Slow enough that a slot of the quota is long beside what a busy machine takes for anything. */
const perMinute = 120;
/** Declared in the configuration. */
const jitterMs = 300;
const chats = 5;
/** Calls of all tenants that are shared out. */
const shared = 40;

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

  /** For each of several chats, one after the other: the calls of the flood between its acceptance and its own call. */
  async function overtakenBy(tenant: Tenant): Promise<number[]> {
    const counts: number[] = [];
    for (let i = 0; i < chats; i++) {
      const { attempts, created_at } = await tenant.chat();
      const [from, to] = [Date.parse(created_at), Date.parse(attempts[0]!.started_at)];
      counts.push(service.arrivals(floodPrompt).filter((at) => at > from && at < to).length);
    }
    return counts;
  }

  test("a chat of another tenant starts within one slot of the quota", async () => {
    const quiet = await service.tenant("quiet");
    // One more may have been granted already when the chat came, and arrive after that.
    expect(Math.max(...(await overtakenBy(quiet)))).toBeLessThanOrEqual(2);
  });

  test("if the flood has chats too, every second slot is the other tenant's", async () => {
    const quiet = await service.tenant("quiet too");
    await flood.submitJobs(chats * 3, "interactive");
    const counts = await overtakenBy(quiet);
    // On average: after its turn, a tenant finds the other's next call charged already, or not yet.
    expect(counts.reduce((a, b) => a + b) / counts.length).toBeLessThanOrEqual(2);
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
    const endsSince = async () => {
      const ends = await Promise.all([flood, ...others].map((tenant) => tenant.completed()));
      const byTime = ends.flatMap((times, tenant) => times.filter((at) => at >= from).map((at) => ({ tenant, at })));
      return byTime.sort((a, b) => a.at - b.at).slice(0, shared);
    };
    const within = { timeout: 60_000, interval: 1_000 };
    const ends = await vi.waitFor(async () => {
      const ends = await endsSince();
      expect(ends).toHaveLength(shared);
      return ends;
    }, within);
    const counts = [flood, ...others].map((_, i) => ends.filter(({ tenant }) => tenant === i).length);
    expect(jainIndex(counts), counts.join(", ")).toBeGreaterThanOrEqual(0.99);
    for (const tenant of others) expect(await tenant.waiting()).toBeGreaterThan(0);
    expect(service.throttled()).toBe(0);
  });
});
