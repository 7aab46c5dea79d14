// Collections: ids, orders, ranges and pages; and the scope of environments that share a database.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { environmentCollection, numberKey, serviceCollection, timeKey } from "../../src/store/collection.ts";
import { collectionConformance } from "./conformance/collections.ts";
import type { OpenedStore } from "./conformance.ts";
import { openSqlite } from "./open-sqlite.ts";

let opened: OpenedStore;
beforeAll(async () => {
  opened = await openSqlite({ UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } });
});
afterAll(() => opened?.cleanup());

const openIn = environmentCollection<{ n: number }>({ stored: "batches", id: "*/open", order: "open/" });
const pauses = serviceCollection<string>({ stored: "controls", id: "pause/*", order: "pause/" });

test("ids and orders are stored in the collection's form and come back without it", async () => {
  const { records } = opened.store;
  await openIn(opened.store, "UAT").insertAll([
    { id: "b", value: { n: 1 } },
    { id: "a", order: "z", value: { n: 2 } },
  ]);
  const place = { collection: "batches", environment: "UAT" } as const;
  expect((await records.list(place, { limit: 10 })).items).toEqual([
    { id: "b/open", order: "open/b", value: { n: 1, "@environment": "UAT" } },
    { id: "a/open", order: "open/z", value: { n: 2, "@environment": "UAT" } },
  ]);
  expect((await openIn(opened.store, "UAT").list(10)).map(({ id }) => id)).toEqual(["b", "a"]);
  expect(await openIn(opened.store, "UAT").get("a")).toEqual({ n: 2 });
  expect(await openIn(opened.store, "PROD").list(10)).toEqual([]);
});

test("a collection of the service stores values as they are", async () => {
  const own = pauses(opened.store);
  expect(await own.insert({ id: "a", value: "first" })).toBe(true);
  expect(await own.insertOrGet({ id: "a", value: "second" })).toBe("first");
  expect(await own.insertOrGet({ id: "b", value: "second" })).toBe("second");
  await own.put({ id: "a", value: "third" });
  expect(await own.getMany(["a", "b", "c"])).toEqual(new Map(Object.entries({ a: "third", b: "second" })));
  await own.remove("a", "never");
  expect(await own.list(10)).toEqual([{ id: "b", value: "second" }]);
});

test("a page goes on where the one before ended, and records come one by one over all pages", async () => {
  const keys = serviceCollection<number>({ stored: "api_keys" })(opened.store);
  await keys.insertAll([1, 2, 3, 4, 5].map((n) => ({ id: `key/${n}`, value: n })));
  const first = await keys.page({ prefix: "key/", after: "1" }, { limit: 2 });
  expect(first.items.map(({ value }) => value)).toEqual([2, 3]);
  const second = await keys.page({ prefix: "key/", after: "1" }, { limit: 2, cursor: first.next! });
  expect(second).toEqual({ items: [4, 5].map((n) => ({ id: `key/${n}`, value: n })) });
  const values: number[] = [];
  for await (const { value } of keys.all({ prefix: "key/", before: "5", descending: true }, 1)) values.push(value);
  expect(values).toEqual([4, 3, 2, 1]);
  await expect(keys.page({}, { limit: 2, cursor: "?" })).rejects.toMatchObject({ code: "invalid_request" });
});

test("keys of times and numbers sort as these do", () => {
  const times = [-5, 0, 9.9, 10, Date.UTC(2026, 0, 1), 9e15];
  expect(times.map(timeKey).sort()).toEqual(times.map(timeKey));
  expect(timeKey(9.9)).toBe("0000000000000009");
  expect(timeKey(-5)).toBe(timeKey(0));
  expect([numberKey(7, 2), numberKey(12, 2)]).toEqual(["07", "12"]);
});

describe("environments that share a database", () => {
  collectionConformance(() => openSqlite({ UAT: { database: "both" }, PROD: { database: "both" } }), 100);
});
