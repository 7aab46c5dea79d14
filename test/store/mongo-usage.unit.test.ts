// The sums of usage that a process adds up itself, against adding everything up anew: any order of attempts, ends, reads,
// hours that pass, and processes that start again.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { AttemptEnd } from "../../src/domain/job.ts";
import { addUsage, noUsage, type UsageRow, usageDay, usageOfAttempt } from "../../src/domain/usage.ts";
import {
  type CountedAttempt,
  type KeptSums,
  type UsageSource,
  UsageSums,
} from "../../src/store/mongo/mongo-usage-sums.ts";

const hourMs = 3_600_000;
const start = Date.UTC(2026, 4, 5, 22);

class Record implements UsageSource {
  readonly all: CountedAttempt[] = [];
  readonly kept = new Map<string, KeptSums>();
  /** Attempts that were read. */
  reads = 0;

  async *charged(from: number, to: number) {
    const within = this.all.filter(({ attempt }) => attempt.chargedAt >= from && attempt.chargedAt < to);
    this.reads += within.length;
    yield within.slice(0, 3);
    yield within.slice(3);
  }

  async attempts(ids: readonly string[]) {
    this.reads += ids.length;
    return this.all.filter(({ id }) => ids.includes(id));
  }

  async load(names: readonly string[]) {
    return new Map(names.flatMap((name) => (this.kept.has(name) ? [[name, this.kept.get(name)!] as const] : [])));
  }

  async save(name: string, sums: KeptSums) {
    this.kept.set(name, structuredClone(sums));
  }

  begin(chargedAt: number, tenant: string, end?: AttemptEnd): void {
    const id = `a${this.all.length}`;
    const reserved = { input: 2, output: 10 };
    const attempt = { jobId: id, n: 1, grant: id, deployment: "d", model: "m", worker: "w", chargedAt, reserved };
    this.all.push({ id, tenant, attempt: { ...attempt, reservedNanoUsd: 7, ...(end && { end }) } });
  }

  sums(fromDay: number, toDay: number): UsageRow[] {
    const rows = new Map<string, UsageRow>();
    for (const { tenant, attempt } of this.all) {
      const day = usageDay(attempt.chargedAt);
      if (day < fromDay || day > toDay) continue;
      const key = `${day} ${tenant}`;
      const row = rows.get(key) ?? { day, tenant, model: "m", ...noUsage };
      addUsage(row, usageOfAttempt(attempt));
      rows.set(key, row);
    }
    return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }
}

const tenant = fc.constantFrom("a", "b", "c");
const end: AttemptEnd = { result: "completed", at: 1, usage: { input: 1, output: 3 }, costNanoUsd: 5 };
const step = fc.oneof(
  // Written up to nine seconds after it was charged, as by another process.
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("begin" as const), tenant, lateMs: fc.nat(9_000), ended: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("end" as const), which: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("read" as const), limit: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1_000, 60_000, hourMs, 5 * hourMs) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);

async function read(sums: UsageSums, fromDay: number, toDay: number, limit: number): Promise<UsageRow[]> {
  const rows: UsageRow[] = [];
  let place: readonly [number, string] | undefined = [fromDay, ""];
  while (place) {
    const page: Awaited<ReturnType<UsageSums["page"]>> = await sums.page({ toDay, limit }, place);
    expect(page.items.length).toBeLessThanOrEqual(limit);
    rows.push(...page.items);
    place = page.next;
  }
  return rows;
}

test("B6: the sums that a process keeps are those of all attempts, at any time and after any restart", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const record = new Record();
      let now = start;
      const open = () => new UsageSums(record, { wall: () => now });
      let [sums, other] = [open(), open()];
      for (const s of steps) {
        if (s.do === "begin") record.begin(now - s.lateMs, s.tenant, s.ended ? end : undefined);
        else if (s.do === "end") {
          const running = record.all.filter(({ attempt }) => !attempt.end);
          const ended = running[s.which % Math.max(1, running.length)];
          if (ended) record.all[record.all.indexOf(ended)] = { ...ended, attempt: { ...ended.attempt, end } };
        } else if (s.do === "pass") now += s.ms;
        else if (s.do === "restart") sums = open();
        else {
          const days = [usageDay(start) - 1, usageDay(now)] as const;
          expect(await read(sums, ...days, s.limit)).toEqual(record.sums(...days));
          if (s.limit === 1) expect(await read(other, ...days, 3)).toEqual(record.sums(...days));
        }
        if (s.do === "restart" && now % 7 === 0) other = open();
      }
      const days = [usageDay(start) - 1, usageDay(now)] as const;
      expect(await read(sums, ...days, 2)).toEqual(record.sums(...days));
      expect(await read(open(), ...days, 2)).toEqual(record.sums(...days));
    }),
    { numRuns: 200 },
  );
});

test("B6: twenty readers at once read each attempt once; later only what is new, or open, is read", async () => {
  const record = new Record();
  const now = start + hourMs / 2;
  for (let i = 0; i < 1_000; i++) record.begin(start + i * 1_000, "a", end);
  record.begin(start, "a");
  const sums = new UsageSums(record, { wall: () => now });
  const days = [usageDay(start), usageDay(start)] as const;
  const all = await Promise.all(Array.from({ length: 20 }, () => read(sums, ...days, 10)));
  for (const rows of all) expect(rows).toEqual(record.sums(...days));
  const once = record.all.length;
  expect(record.reads).toBeLessThan(once + 100);
  const before = record.reads;
  await read(sums, ...days, 10);
  // The one that is open, and those of the last ten seconds.
  expect(record.reads - before).toBeLessThan(20);
});

test("B6: an hour that is over is counted once, whichever process reads it, although a call of it has no end", async () => {
  const record = new Record();
  for (let i = 0; i < 1_000; i++) record.begin(start + i * 1_000, "a", end);
  record.begin(start, "lost");
  let now = start + 3 * hourMs;
  const days = [usageDay(start), usageDay(start)] as const;
  await read(new UsageSums(record, { wall: () => now }), ...days, 10);
  for (const later of [now, now + 48 * hourMs, now + 480 * hourMs]) {
    now = later;
    record.reads = 0;
    const restarted = new UsageSums(record, { wall: () => now });
    expect(await read(restarted, ...days, 10)).toEqual(record.sums(...days));
    expect(record.reads).toBeLessThan(10);
  }
});
