// Every query walks one index from one end: checked against the list of indexes, for any query that can be asked. (That a
// real MongoDB accepts the index is checked by each query itself: it names it, and would fail.)
import fc from "fast-check";
import type { Document } from "mongodb";
import { expect, test } from "vitest";
import { jobStates, priorities } from "../../src/domain/job.ts";
import { environmentIndexes, type IndexKey } from "../../src/store/mongo/indexes.ts";
import {
  chargesQuery,
  countIndex,
  countLinesPipeline,
  countPipeline,
  endedQuery,
  linesQuery,
  listQuery,
  type Query,
  unfinishedQuery,
} from "../../src/store/mongo/mongo-queries.ts";

const time = fc.integer({ min: 0, max: 2e12 });
const text = fc.string({ maxLength: 3 });
const optional = { requiredKeys: [] as [] };
const jobKey = fc.option(fc.tuple(time, text), { nil: undefined });

function keyOf({ collection, index }: Pick<Query, "collection" | "index">): IndexKey {
  const key = (environmentIndexes[collection] as Record<string, IndexKey>)[index];
  expect(key, `${collection} has no index ${index}`).toBeDefined();
  return key!;
}

/** The first fields of the index, for which the filter leaves one value. */
function pinned(key: IndexKey, filter: Document): string[] {
  const fields = Object.keys(key);
  const free = fields.findIndex((field) => filter[field] === undefined || isRange(filter[field]));
  return fields.slice(0, free < 0 ? fields.length : free);
}

function isRange(condition: unknown): boolean {
  return typeof condition === "object" && condition !== null && !(condition instanceof Date);
}

/** The index, read in one direction after its pinned fields, gives the order of the query. */
function expectSorted(query: Query): void {
  const key = keyOf(query);
  const rest = Object.entries(key).slice(pinned(key, query.filter).length);
  const sort = Object.entries(query.sort);
  expect(rest.map(([field]) => field)).toEqual(sort.map(([field]) => field));
  const direction = sort[0]![1] * rest[0]![1];
  expect(sort.map(([field, order]) => [field, order * direction])).toEqual(rest);
}

test("a list walks an index that starts with what is asked for, in the order that is asked for", () => {
  const query = fc.record(
    {
      state: fc.constantFrom(...jobStates),
      tenant: text,
      model: text,
      priority: fc.constantFrom(...priorities),
      submittedFrom: time,
      submittedTo: time,
    },
    optional,
  );
  fc.assert(
    fc.property(query, jobKey, (query, after) => {
      const walk = listQuery("UAT", { ...query, limit: 1 }, after);
      expectSorted(walk);
      const filters = ["state", "tenant", "model", "priority"].filter((f) => f in query);
      // Environment, and one more if there is one.
      expect(pinned(keyOf(walk), walk.filter)).toHaveLength(filters.length > 0 ? 2 : 1);
    }),
  );
});

test("a walk over unfinished jobs reads no job that has ended, in the order of submission", () => {
  const query = fc.record({ submittedFrom: time, submittedTo: time }, optional);
  fc.assert(
    fc.property(query, jobKey, (query, after) => {
      const walk = unfinishedQuery("UAT", { ...query, limit: 1 }, after);
      expectSorted(walk);
      expect(pinned(keyOf(walk), walk.filter)).toEqual(["environment", "ended"]);
    }),
  );
});

test("jobs whose deadline passed are found by it, and by nothing else", () => {
  const walk = unfinishedQuery("UAT", { limit: 1, expiresUntil: 5 }, undefined);
  const key = keyOf(walk);
  expect(Object.keys(key)).toEqual([...pinned(key, walk.filter), "expires_at"]);
});

test("ended jobs are walked in the order of their ends", () => {
  fc.assert(
    fc.property(fc.option(time, { nil: undefined }), time, jobKey, (from, finishedTo, after) => {
      const range = { ...(from !== undefined && { finishedFrom: from }), finishedTo };
      const walk = endedQuery({ environment: "UAT", ...range, limit: 1 }, after);
      expectSorted(walk);
      expect(pinned(keyOf(walk), walk.filter)).toEqual(["environment", "ended"]);
    }),
  );
});

test("charges are walked in their order", () => {
  fc.assert(
    fc.property(time, fc.option(fc.tuple(time, text, fc.nat()), { nil: undefined }), (from, after) => {
      expectSorted(chargesQuery(from, after));
    }),
  );
});

test("counting reads nothing but an index", () => {
  const [{ $match }, { $group }] = countPipeline("UAT") as [Document, Document];
  const read = [...Object.keys($match), $group._id.slice(1)];
  expect(Object.keys(keyOf({ collection: "jobs", index: countIndex })).slice(0, read.length)).toEqual(read);
});

test("lines of a batch are walked and counted within one stretch of an index", () => {
  const range = { environment: "UAT", submittedAt: 5, from: "a", to: "b" };
  for (const query of [linesQuery(range), linesQuery({ ...range, state: "queued" })]) {
    expect(Object.keys(keyOf(query))).toEqual([...pinned(keyOf(query), query.filter), "_id"]);
    expect(query.sort).toEqual({ _id: 1 });
  }
  const [{ $match }, { $group }] = countLinesPipeline(range) as [Document, Document];
  const index = keyOf({ collection: "jobs", index: countIndex });
  expect(new Set([...Object.keys($match), $group._id.slice(1)])).toEqual(new Set(Object.keys(index)));
});

test("a cursor excludes what was given out and nothing else, whatever else is asked for", () => {
  const key = fc.tuple(fc.nat({ max: 5 }), fc.constantFrom("a", "b", "c"));
  fc.assert(
    fc.property(key, key, fc.option(fc.nat({ max: 5 })), fc.option(fc.nat({ max: 5 })), (after, job, from, to) => {
      const range = { ...(from !== null && { submittedFrom: from }), ...(to !== null && { submittedTo: to }) };
      const inRange = job[0] >= (from ?? 0) && job[0] < (to ?? 6);
      const later = job[0] > after[0] || (job[0] === after[0] && job[1] > after[1]);
      const earlier = job[0] < after[0] || (job[0] === after[0] && job[1] < after[1]);
      const document = { environment: "UAT", ended: false, submitted_at: new Date(job[0]), _id: job[1] };
      expect(matches(document, unfinishedQuery("UAT", { ...range, limit: 1 }, after).filter)).toBe(inRange && later);
      expect(matches(document, listQuery("UAT", { ...range, limit: 1 }, after).filter)).toBe(inRange && earlier);
    }),
  );
});

/** As MongoDB does, for the few operators that are used. */
function matches(document: Document, filter: Document): boolean {
  return Object.entries(filter).every(([field, condition]) => {
    if (field === "$or") return (condition as Document[]).some((part) => matches(document, part));
    const value = document[field];
    if (!isRange(condition)) return value === condition;
    return Object.entries(condition as Document).every(([operator, limit]) => {
      if (operator === "$lt") return value < limit;
      if (operator === "$lte") return value <= limit;
      if (operator === "$gt") return value > limit;
      if (operator === "$gte") return value >= limit;
      throw new Error(`unknown operator ${operator}`);
    });
  });
}
