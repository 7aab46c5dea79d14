// Collections (src/store/collection.ts) over an adapter, where two environments share a database: neither sees a record of
// the other, whatever happens.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Collection,
  environmentCollection,
  type Item,
  type Range,
  timeKey,
} from "../../../src/store/collection.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import type { OpenedStore } from "../conformance.ts";

const environments = ["UAT", "PROD"] as const;
type Environment = (typeof environments)[number];

interface Value {
  written: number;
}

/** Two share a stored collection, as files and their expiries do; one has no prefix of its own. */
const kinds = {
  files: environmentCollection<Value>({ stored: "files", order: "file/" }),
  expiries: environmentCollection<Value>({ stored: "files", id: "expiry/*", order: "expiry/" }),
  steps: environmentCollection<Value>({ stored: "batches", id: "*/open", order: "open/" }),
  marks: environmentCollection<Value>({ stored: "ephemeral" }),
};
type Kind = keyof typeof kinds;

/** Ids are unique in a database, so each environment has its own. Both ask for all of them. */
const ownIds = { UAT: ["a1", "b1", "c1", "d1"], PROD: ["a2", "b2", "c2", "d2"] };
const allIds = [...ownIds.UAT, ...ownIds.PROD];

/** What a collection has to hold: by id, with the order. */
type Model = Map<string, { order: string; written: number }>;

interface Step {
  environment: Environment;
  kind: Kind;
  write: "insert" | "put" | "remove";
  id: number;
  order: string | undefined;
}

const key = fc.constantFrom("a", "b1", "c2", "c2/x", "~");
const stepOf = fc.record<Step>({
  environment: fc.constantFrom(...environments),
  kind: fc.constantFrom(...(Object.keys(kinds) as Kind[])),
  write: fc.constantFrom("insert", "insert", "put", "remove"),
  id: fc.nat(3),
  order: fc.option(key, { nil: undefined }),
});
const rangeOf: fc.Arbitrary<Range> = fc.record(
  { prefix: fc.constantFrom("", "c", "c2"), after: key, before: key, descending: fc.boolean() },
  { requiredKeys: [] },
);

/** @param open opens a store in which UAT and PROD have one database */
export function collectionConformance(open: () => Promise<OpenedStore>, numRuns: number): void {
  let opened: OpenedStore;
  const store = (): JobStore => opened.store;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(() => opened?.cleanup());

  test("of two environments that share a database, no collection ever yields a record of the other", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepOf, { maxLength: 30 }), rangeOf, async (steps, range) => {
        const models = new Map<string, Model>();
        const modelOf = (environment: Environment, kind: Kind): Model => {
          const name = `${environment} ${kind}`;
          if (!models.has(name)) models.set(name, new Map());
          return models.get(name)!;
        };
        for (const [written, step] of steps.entries()) {
          await write(store(), modelOf(step.environment, step.kind), step, written);
        }
        for (const environment of environments) {
          for (const kind of Object.keys(kinds) as Kind[]) {
            await compare(kinds[kind](store(), environment), modelOf(environment, kind), range);
          }
        }
        for (const { environment, kind } of steps)
          await kinds[kind](store(), environment).remove(...ownIds[environment]);
      }),
      { numRuns },
    );
  });

  test("an id of another environment is not free, and yields nothing", async () => {
    const [uat, prod] = environments.map((environment) => kinds.files(store(), environment)) as [Files, Files];
    expect(await prod.insert({ id: "taken", value: { written: 1 } })).toBe(true);
    expect(await uat.insert({ id: "taken", value: { written: 2 } })).toBe(false);
    expect(await uat.get("taken")).toBeUndefined();
    expect(await uat.insertOrGet({ id: "taken", value: { written: 2 } })).toEqual({ written: 2 });
    expect(await prod.get("taken")).toEqual({ written: 1 });
    await prod.remove("taken");
  });

  test("what an older version wrote belongs to the environment that it names, or to both", async () => {
    await store().records.insert({ collection: "files", environment: "UAT" }, [
      { id: "expiry/named", order: `expiry/${timeKey(1)}`, value: { written: 1, environment: "PROD" } },
      { id: "expiry/bare", order: `expiry/${timeKey(2)}`, value: { written: 2 } },
    ]);
    const [uat, prod] = environments.map((environment) => kinds.expiries(store(), environment)) as [Files, Files];
    const [named, bare] = [{ id: "named" }, { id: "bare" }];
    expect(await uat.list(10)).toEqual([{ ...bare, value: { written: 2 } }]);
    expect(await uat.getMany(["named", "bare"])).toEqual(new Map([["bare", { written: 2 }]]));
    expect(await prod.list(10)).toEqual([
      { ...named, value: { written: 1, environment: "PROD" } },
      { ...bare, value: { written: 2 } },
    ]);
    await prod.remove("named", "bare");
  });
}

type Files = ReturnType<typeof kinds.files>;

async function write(store: JobStore, model: Model, step: Step, written: number): Promise<void> {
  const { environment, kind, order } = step;
  const collection = kinds[kind](store, environment);
  const id = ownIds[environment][step.id]!;
  const record = { id, value: { written }, ...(order !== undefined && { order }) };
  if (step.write === "remove") {
    await collection.remove(id);
    model.delete(id);
    return;
  }
  if (step.write === "put") await collection.put(record);
  else if ((await collection.insert(record)) === model.has(id))
    throw new Error(`inserted ${id} against the first insert`);
  if (step.write === "put" || !model.has(id)) model.set(id, { order: order ?? id, written });
}

async function compare(collection: Collection<Value>, model: Model, range: Range): Promise<void> {
  const item = ([id, { written }]: [string, { written: number }]): Item<Value> => ({
    id,
    value: { written },
  });
  const { prefix = "", after, before, descending } = range;
  const own = [...model]
    .filter(([, { order }]) => order.startsWith(prefix))
    .filter(([, { order }]) => after === undefined || order > prefix + after)
    .filter(([, { order }]) => before === undefined || order < prefix + before)
    .sort(([a, { order: x }], [b, { order: y }]) => (x === y ? (a < b ? -1 : 1) : x < y ? -1 : 1))
    .map(item);
  if (descending) own.reverse();
  const all: Item<Value>[] = [];
  for await (const one of collection.all(range, 3)) all.push(one);
  expect(all).toEqual(own);
  expect(await collection.list(2, range)).toEqual(own.slice(0, 2));
  expect(await collection.getMany(allIds)).toEqual(new Map([...model].map(item).map(({ id, value }) => [id, value])));
}
