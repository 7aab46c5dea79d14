// Fair shares by virtual time, and the two structures underneath, against naive models.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Priority } from "../../src/domain/job.ts";
import { FairQueue, type Queued, type Weights } from "../../src/scheduler/fair-queue.ts";
import { IndexedHeap } from "../../src/scheduler/indexed-heap.ts";
import { SortedQueue } from "../../src/scheduler/sorted-queue.ts";

interface Job extends Queued {
  cost: number;
}

const anyRoute = () => true;
const priorities: Priority[] = ["interactive", "standard", "batch"];
const equal: Weights = { environments: {}, priorities: { interactive: 1, standard: 1, batch: 1 }, tenants: {} };

let made = 0;
function job(tenant: string, parts: Partial<Job> = {}): Job {
  made += 1;
  const jobId = String(made).padStart(9, "0");
  return { jobId, order: made, environment: "e", priority: "standard", tenant, route: "r", cost: 1000, ...parts };
}

/** Grants the next job, as an acquire does. */
function serve(queue: FairQueue<Job>, isOpen: (route: string) => boolean = anyRoute): Job | undefined {
  const candidate = queue.next(isOpen);
  if (!candidate) return undefined;
  queue.remove(candidate.job);
  queue.charge(candidate.job, candidate.job.cost);
  return candidate.job;
}

function jain(values: number[]): number {
  const sum = values.reduce((a, b) => a + b, 0);
  return (sum * sum) / (values.length * values.reduce((a, b) => a + b * b, 0));
}

describe("fair shares", () => {
  test("tenants with constant work are served by weight, within one job of each, for any job sizes", () => {
    const tenant = fc.record({
      weight: fc.integer({ min: 1, max: 20 }),
      largest: fc.integer({ min: 1, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(
        fc.array(tenant, { minLength: 2, maxLength: 8 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (tenants, random) => {
          const size = () => random.next().value as number;
          const weights = { ...equal, tenants: Object.fromEntries(tenants.map((t, i) => [`t${i}`, t.weight])) };
          const queue = new FairQueue<Job>(weights);
          const refill = (i: number) =>
            queue.push(job(`t${i}`, { cost: 1 + Math.floor(size() * tenants[i]!.largest) }));
          for (const i of tenants.keys()) for (let n = 0; n < 2; n++) refill(i);
          const service = tenants.map(() => 0);
          for (let n = 0; n < 400; n++) {
            const served = serve(queue)!;
            const i = Number(served.tenant.slice(1));
            service[i]! += served.cost;
            refill(i);
            // Start-time fair queueing: any two tenants are at most a job of each apart. Rounding adds one per job.
            const excess = tenants.flatMap((a, x) =>
              tenants.map((b, y) => {
                const apart = service[x]! / a.weight - service[y]! / b.weight;
                return apart - a.largest / a.weight - b.largest / b.weight - n - 2;
              }),
            );
            expect(Math.max(...excess)).toBeLessThanOrEqual(0);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("each level of the tree shares by its own weights", () => {
    const weights: Weights = {
      environments: { PROD: 4, UAT: 1 },
      priorities: { interactive: 16, standard: 4, batch: 1 },
      tenants: { t0: 3 },
    };
    const queue = new FairQueue<Job>(weights);
    const service = new Map<string, number>();
    const count = (key: string, cost: number) => service.set(key, (service.get(key) ?? 0) + cost);
    const owners = ["PROD", "UAT"].flatMap((environment) =>
      priorities.flatMap((priority) => ["t0", "t1"].map((tenant) => ({ environment, priority, tenant }))),
    );
    for (const owner of owners) for (let n = 0; n < 2; n++) queue.push(job(owner.tenant, owner));
    for (let n = 0; n < 42_000; n++) {
      const { environment, priority, tenant, cost } = serve(queue)!;
      queue.push(job(tenant, { environment, priority }));
      count(environment, cost);
      count(`${environment}/${priority}`, cost);
      count(`${environment}/${priority}/${tenant}`, cost);
    }
    const ratio = (a: string, b: string) => service.get(a)! / service.get(b)!;
    expect(ratio("PROD", "UAT")).toBeCloseTo(4, 1);
    expect(ratio("UAT/interactive", "UAT/batch")).toBeCloseTo(16, 0);
    expect(ratio("PROD/standard", "PROD/batch")).toBeCloseTo(4, 1);
    expect(ratio("UAT/batch/t0", "UAT/batch/t1")).toBeCloseTo(3, 1);
  });

  test("Jain's index of ten equal tenants is at least 0.99 while an eleventh floods", () => {
    const queue = new FairQueue<Job>(equal);
    for (let n = 0; n < 20_000; n++) queue.push(job("flood", { cost: 500 + (n % 7) * 300 }));
    const service = new Map<string, number>();
    for (let n = 0; n < 5000; n++) {
      for (let t = 0; t < 10; t++) {
        const size = queue.flowOf({ environment: "e", priority: "standard", tenant: `t${t}` }).waiting;
        if (size < 3) queue.push(job(`t${t}`, { cost: 500 + ((n + t) % 7) * 300 }));
      }
      const { tenant, cost } = serve(queue)!;
      service.set(tenant, (service.get(tenant) ?? 0) + cost);
    }
    expect(service.size).toBe(11);
    expect(jain([...service.values()])).toBeGreaterThanOrEqual(0.99);
  });

  test("no tenant starves: a job waits for at most one round of every other tenant", () => {
    const event = fc.record({
      tenant: fc.integer({ min: 0, max: 5 }),
      cost: fc.integer({ min: 1, max: 1000 }),
      pushes: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(event, { minLength: 50, maxLength: 300 }), (events) => {
        const queue = new FairQueue<Job>(equal);
        /** For each tenant's head: the service of the others since it became the head. */
        const behind = new Map<string, number>();
        for (const { tenant, cost, pushes } of events) {
          if (pushes) {
            queue.push(job(`t${tenant}`, { cost }));
            continue;
          }
          const served = serve(queue);
          if (!served) continue;
          behind.set(served.tenant, 0);
          for (const flow of queue.flows()) {
            if (flow.name === served.tenant) continue;
            behind.set(flow.name, (behind.get(flow.name) ?? 0) + served.cost);
            // Each of five others may get ahead by what the tenant itself has had in advance, and a job.
            expect(behind.get(flow.name)).toBeLessThanOrEqual(5 * 2 * 1000 + 2000);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test("a tenant that was blocked for long is at most one window behind", () => {
    const queue = new FairQueue<Job>(equal);
    queue.push(job("blocked", { route: "closed" }));
    for (let n = 0; n < 3000; n++) queue.push(job("other", { cost: 1_000_000 }));
    for (let n = 0; n < 1000; n++) serve(queue, (route) => route !== "closed");
    for (let n = 0; n < 3000; n++) queue.push(job("blocked", { route: "closed", cost: 1_000_000 }));
    let alone = 0;
    while (serve(queue)!.tenant === "blocked") alone += 1;
    expect(alone).toBeGreaterThan(10);
    expect(alone).toBeLessThanOrEqual(62);
  });

  test("idle time earns nothing, and neither does leaving and returning", () => {
    const queue = new FairQueue<Job>(equal);
    for (let n = 0; n < 1000; n++) queue.push(job("steady"));
    for (let n = 0; n < 500; n++) serve(queue);
    let own = 0;
    for (let n = 0; n < 200; n++) {
      // Always one job, added again when the last one was served.
      if (queue.flowOf({ environment: "e", priority: "standard", tenant: "sly" }).waiting === 0) queue.push(job("sly"));
      if (serve(queue)!.tenant === "sly") own += 1;
    }
    expect(own).toBeLessThanOrEqual(101);
  });

  test("a tenant that returns after others were served shares with them at once", () => {
    const queue = new FairQueue<Job>(equal);
    queue.push(job("back"));
    for (let n = 0; n < 1000; n++) queue.push(job("steady"));
    for (let n = 0; n < 500; n++) serve(queue);
    for (let n = 0; n < 100; n++) queue.push(job("back"));
    const served = Array.from({ length: 40 }, () => serve(queue)!.tenant);
    expect(served.filter((tenant) => tenant === "back")).toHaveLength(20);
  });

  test("refunded service counts, and a full refund leaves no trace", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 1, max: 7 }),
        (costs, weight) => {
          const queue = new FairQueue<Job>({ ...equal, tenants: { a: weight } });
          queue.push(job("a"));
          queue.push(job("b"));
          const flow = queue.flowOf({ environment: "e", priority: "standard", tenant: "a" });
          const before = flow.virtualTime;
          for (const cost of costs) queue.charge({ environment: "e", priority: "standard", tenant: "a" }, cost);
          for (const cost of costs) queue.correct({ environment: "e", priority: "standard", tenant: "a" }, -cost);
          expect(flow.virtualTime).toBe(before);
        },
      ),
    );
  });

  test("ties go to the flow that became active first, whatever the names", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { minLength: 2, maxLength: 20 }), (names) => {
        const queue = new FairQueue<Job>(equal);
        for (const name of names) queue.push(job(name));
        expect(names.map(() => serve(queue)!.tenant)).toEqual(names);
      }),
    );
  });

  test("a closed route blocks neither other flows nor other routes of the same flow", () => {
    const queue = new FairQueue<Job>(equal);
    queue.push(job("a", { route: "closed" }));
    queue.push(job("a", { route: "open" }));
    queue.push(job("b", { route: "closed" }));
    const open = (route: string) => route === "open";
    expect(serve(queue, open)).toMatchObject({ tenant: "a", route: "open" });
    expect(serve(queue, open)).toBeUndefined();
    expect(queue.size).toBe(2);
  });

  test("a flow with jobs in several routes is served in the order of its jobs", () => {
    const queue = new FairQueue<Job>(equal);
    const routes = ["x", "y", "x", "z", "y", "x"];
    for (const route of routes) queue.push(job("a", { route }));
    expect(routes.map(() => serve(queue)!.route)).toEqual(routes);
  });

  test("tenants that submit once are dropped", () => {
    const queue = new FairQueue<Job>(equal);
    queue.push(job("stays"));
    for (let n = 0; n < 20_000; n++) {
      queue.push(job(`visitor ${n}`));
      queue.push(job("stays"));
      serve(queue);
      serve(queue);
    }
    const { flows } = queue.flowOf({ environment: "e", priority: "standard", tenant: "stays" }).parent;
    expect(flows.size).toBeLessThan(2000);
    expect(queue.size).toBe(1);
  });

  test("rebasing virtual time, long before integers overflow, changes no decision", () => {
    const tenants = ["a", "b", "c"];
    const event = fc.record({ tenant: fc.constantFrom(...tenants), cost: fc.integer({ min: 1, max: 1_000_000 }) });
    fc.assert(
      fc.property(fc.array(event, { minLength: 30, maxLength: 200 }), (events) => {
        const decisions = (aged: boolean): string[] => {
          const queue = new FairQueue<Job>({ ...equal, tenants: { b: 3 } });
          for (const tenant of tenants) queue.push(job(tenant, { cost: 3000 }));
          // Every tenant has had the same service for its weight: years of it.
          for (let round = 0; round < 12; round++) {
            for (const tenant of tenants) {
              const cost = aged ? 2 ** 48 * (tenant === "b" ? 3 : 1) : 0;
              queue.charge({ environment: "e", priority: "standard", tenant }, cost);
            }
          }
          return events.flatMap(({ tenant, cost }) => {
            queue.push(job(tenant, { cost }));
            const served = serve(queue)!;
            for (const flow of queue.flows()) expect(flow.virtualTime).toBeLessThanOrEqual(2 ** 53);
            return served.tenant;
          });
        };
        expect(decisions(true)).toEqual(decisions(false));
      }),
      { numRuns: 60 },
    );
  });

  test("every job leaves exactly once in any order of operations, and the counts agree", () => {
    const owner = fc.record({
      environment: fc.constantFrom("e", "f"),
      priority: fc.constantFrom(...priorities),
      tenant: fc.constantFrom("a", "b", "c"),
      route: fc.constantFrom("r", "s"),
      order: fc.integer({ min: 0, max: 20 }),
    });
    const command = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("push" as const), owner }) },
      fc.record({ kind: fc.constant("remove" as const), pick: fc.nat() }),
      fc.record({ kind: fc.constant("serve" as const), closed: fc.constantFrom("r", "s", "") }),
      fc.record({ kind: fc.constant("passOver" as const) }),
      fc.record({ kind: fc.constant("back" as const), pick: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
        const queue = new FairQueue<Job>(equal);
        const inside = new Set<Job>();
        const outside: Job[] = [];
        for (const c of commands) {
          if (c.kind === "push") {
            const pushed = job(c.owner.tenant, c.owner);
            inside.add(pushed);
            queue.push(pushed);
          } else if (c.kind === "remove" && inside.size > 0) {
            const removed = [...inside][c.pick % inside.size]!;
            inside.delete(removed);
            outside.push(removed);
            queue.remove(removed);
          } else if (c.kind === "serve") {
            const served = serve(queue, (route) => route !== c.closed);
            const open = [...inside].filter((j) => j.route !== c.closed);
            expect(served !== undefined).toBe(open.length > 0);
            if (!served) continue;
            expect(inside.delete(served)).toBe(true);
            outside.push(served);
            // The first of its flow and route.
            const same = open.filter(
              (j) =>
                j.tenant === served.tenant && j.environment === served.environment && j.priority === served.priority,
            );
            for (const other of same) if (other !== served) expect(other.order >= served.order).toBe(true);
          } else if (c.kind === "passOver") {
            const seen: Job[] = [];
            for (let next = queue.next(anyRoute); next; next = queue.next(anyRoute)) {
              seen.push(next.job);
              queue.passOver(next);
            }
            queue.restorePassedOver();
            const flows = new Set([...inside].map((j) => [j.environment, j.priority, j.tenant, j.route].join()));
            expect(seen).toHaveLength(flows.size);
          } else if (c.kind === "back" && outside.length > 0) {
            const [again] = outside.splice(c.pick % outside.length, 1);
            inside.add(again!);
            queue.push(again!);
          }
          expect(queue.size).toBe(inside.size);
        }
        const drained = new Set<Job>();
        for (let served = serve(queue); served; served = serve(queue)) drained.add(served);
        expect(drained).toEqual(inside);
      }),
      { numRuns: 300 },
    );
  });
});

describe("the sorted queue", () => {
  const item = fc.record({ order: fc.integer({ min: 0, max: 30 }), jobId: fc.constantFrom("a", "b", "c", "d") });
  const command = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("push" as const), item }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("shift" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), pick: fc.nat() }) },
    fc.record({ kind: fc.constant("again" as const), pick: fc.nat() }),
    fc.record({
      kind: fc.constant("many" as const),
      from: fc.integer({ min: 0, max: 5 }),
      count: fc.integer({ min: 60, max: 300 }),
    }),
    fc.record({ kind: fc.constant("fewer" as const) }),
  );
  type Item = { order: number; jobId: string };
  const sorted = (items: Iterable<Item>) =>
    [...items].sort((a, b) => a.order - b.order || (a.jobId < b.jobId ? -1 : a.jobId > b.jobId ? 1 : 0));
  const keys = (items: Iterable<Item>) => [...items].map((i) => `${i.order} ${i.jobId}`);

  test("behaves like a sorted array", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 100 }), (commands) => {
        const queue = new SortedQueue<Item>();
        const inside = new Set<Item>();
        const removed: Item[] = [];
        const push = (pushed: Item) => {
          inside.add(pushed);
          queue.push(pushed);
        };
        const remove = (gone: Item) => {
          inside.delete(gone);
          removed.push(gone);
          queue.remove(gone);
        };
        for (const c of commands) {
          if (c.kind === "push") push({ ...c.item });
          else if (c.kind === "many") for (let n = 0; n < c.count; n++) push({ order: c.from + n, jobId: "m" });
          else if (c.kind === "remove" && inside.size > 0) remove([...inside][c.pick % inside.size]!);
          else if (c.kind === "fewer") for (const [n, gone] of [...inside].entries()) n % 4 !== 0 && remove(gone);
          else if (c.kind === "again" && removed.length > 0) push(removed.splice(c.pick % removed.length, 1)[0]!);
          else if (c.kind === "shift") {
            const first = queue.shift();
            expect(first && keys([first])).toEqual(inside.size > 0 ? keys([sorted(inside)[0]!]) : undefined);
            if (first) inside.delete(first);
          }
          expect(queue.size).toBe(inside.size);
          expect(keys(queue)).toEqual(keys(sorted(inside)));
          expect(keys(queue.first(3))).toEqual(keys(sorted(inside).slice(0, 3)));
          const head = queue.peek();
          expect(head && inside.has(head)).toBe(inside.size > 0 ? true : undefined);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("jobs that return near the front of a long queue keep their order", () => {
    const queue = new SortedQueue<Item>();
    const items = Array.from({ length: 20_000 }, (_, order) => ({ order, jobId: "j" }));
    for (const each of items) queue.push(each);
    const taken = items.slice(0, 700).map(() => queue.shift()!);
    // In an order in which each must be inserted between others.
    for (const [i, each] of taken.entries()) if (i % 2 === 0) queue.push(each);
    for (const [i, each] of taken.reverse().entries()) if (each.order % 2 === 1) queue.push(taken[i]!);
    expect([...queue].map((each) => each.order)).toEqual(items.map((each) => each.order));
  });
});

describe("the indexed heap", () => {
  test("behaves like a list that is searched for its smallest item", () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), key: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ kind: fc.constant("pop" as const) }),
      fc.record({ kind: fc.constant("delete" as const), pick: fc.nat() }),
      fc.record({ kind: fc.constant("update" as const), pick: fc.nat(), key: fc.integer({ min: 0, max: 20 }) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
        const heap = new IndexedHeap<{ key: number }>((a, b) => a.key < b.key);
        const inside: { key: number }[] = [];
        const least = () => inside.reduce((min, i) => Math.min(min, i.key), Number.POSITIVE_INFINITY);
        for (const c of commands) {
          if (c.kind === "push") {
            const item = { key: c.key };
            inside.push(item);
            heap.push(item);
          } else if (c.kind === "pop") {
            const expected = inside.length > 0 ? least() : undefined;
            const popped = heap.pop();
            expect(popped?.key).toBe(expected);
            if (popped) inside.splice(inside.indexOf(popped), 1);
          } else if (inside.length > 0) {
            const item = inside[c.pick % inside.length]!;
            if (c.kind === "delete") {
              expect(heap.delete(item)).toBe(true);
              expect(heap.delete(item)).toBe(false);
              inside.splice(inside.indexOf(item), 1);
            } else {
              item.key = c.key;
              heap.update(item);
            }
          }
          expect(heap.size).toBe(inside.length);
          if (inside.length > 0) expect(heap.peek()!.key).toBe(least());
          for (const item of inside) expect(heap.has(item)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});
