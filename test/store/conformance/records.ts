// Small records: the first insert wins, the last put wins, lists are in the order of `order` and then of the id.
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect, type TestAPI } from "vitest";
import type { JobStore } from "../../../src/store/job-store.ts";
import type { RecordPlace, RecordQuery, StoredRecord } from "../../../src/store/record-store.ts";
import { allPages } from "./support.ts";

const service: RecordPlace = { collection: "api_keys" };
const inUat: RecordPlace = { collection: "batches", environment: "UAT" };

/** Every case has a stretch of the order for itself: the collections are shared. */
function stretch() {
  const prefix = `${randomUUID()}/`;
  return {
    key: (name: string) => prefix + name,
    range: { from: prefix, to: `${prefix}~` },
  };
}

export function recordCases(store: () => JobStore, test: TestAPI): void {
  const records = () => store().records;

  test("of several inserts of one id the first wins, in one call and in many at once", async () => {
    const { key } = stretch();
    const a = { id: key("a"), value: 1 };
    expect(await records().insert(service, [a, { ...a, value: 2 }, { id: key("b"), value: 3 }])).toEqual([
      "inserted",
      "exists",
      "inserted",
    ]);
    const race = await Promise.all(
      Array.from({ length: 20 }, (_, value) => records().insert(inUat, [{ id: key("race"), value }])),
    );
    const winners = race.flatMap(([answer], i) => (answer === "inserted" ? [i] : []));
    expect(winners).toHaveLength(1);
    expect((await records().get(inUat, [key("race")])).get(key("race"))?.value).toBe(winners[0]);
    expect(await records().insert(service, [])).toEqual([]);
  });

  test("values and orders come back as they went in; unknown ids are left out", async () => {
    const { key } = stretch();
    const value = { text: "\u0000 日本 \ud800", list: [1, null, { $set: "a.b" }], "dotted.key": true };
    await records().insert(service, [{ id: key("a"), order: key("z"), value }]);
    const found = await records().get(service, [key("a"), key("b")]);
    expect([...found.values()]).toEqual([{ id: key("a"), order: key("z"), value }]);
  });

  test("put replaces, value and order; remove takes out, and may be repeated", async () => {
    const { key, range } = stretch();
    const list = async () => (await records().list(inUat, { ...range, limit: 10 })).items.map((r) => r.value);
    await records().put(inUat, { id: key("a"), value: "first" });
    await records().put(inUat, { id: key("b"), value: "second" });
    await records().put(inUat, { id: key("a"), order: key("c"), value: "third" });
    expect(await list()).toEqual(["second", "third"]);
    await records().remove(inUat, [key("b"), key("never")]);
    await records().remove(inUat, [key("b")]);
    await records().remove(inUat, []);
    expect(await list()).toEqual(["third"]);
  });

  test("collections do not mix, and an unknown environment has none", async () => {
    const { key, range } = stretch();
    await records().insert(service, [{ id: key("a"), value: 1 }]);
    expect((await records().get({ collection: "controls" }, [key("a")])).size).toBe(0);
    expect((await records().list(inUat, { ...range, limit: 10 })).items).toEqual([]);
    const nowhere: RecordPlace = { collection: "files", environment: "nowhere" };
    await expect(records().get(nowhere, ["a"])).rejects.toMatchObject({ code: "unknown_environment" });
  });

  test("a key that an adapter could not keep as it is, is refused and nothing is written", async () => {
    const { key } = stretch();
    for (const bad of ["", "a b", "ä", "x".repeat(501)]) {
      const both = [
        { id: key("good"), value: 1 },
        { id: bad, value: 1 },
      ];
      await expect(records().insert(service, both)).rejects.toThrow(RangeError);
      await expect(records().put(service, { id: key("x"), order: bad, value: 1 })).rejects.toThrow(RangeError);
    }
    expect((await records().get(service, [key("good"), key("x")])).size).toBe(0);
  });

  test("pages in both directions give each record of the range once, in order", async () => {
    const name = fc.constantFrom("a", "aa", "b", "B", "c", "~", "-", "1", "10", "2");
    const row = fc.record({ id: name, order: name });
    const bounds = fc.record({ from: name, to: name }, { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(row, { selector: (r) => r.id }), bounds, fc.boolean(), async (rows, b, down) => {
        const { key, range } = stretch();
        const written: StoredRecord[] = rows.map(({ id, order }) => ({ id: key(id), order: key(order), value: id }));
        await records().insert(inUat, written);
        const from = b.from === undefined ? range.from : key(b.from);
        const to = b.to === undefined ? range.to : key(b.to);
        const query: RecordQuery = { from, to, limit: 2, descending: down };
        const pages = await allPages((cursor) => records().list(inUat, { ...query, cursor }));
        const expected = written
          .filter(({ order }) => order! >= from && order! < to)
          .sort((x, y) => compare(x.order!, y.order!) || compare(x.id, y.id));
        if (down) expected.reverse();
        expect(pages.flat()).toEqual(expected);
        expect(pages.slice(0, -1).every((page) => page.length === 2)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  test("a limit that is too large is refused", async () => {
    await expect(records().list(service, { limit: 1_001 })).rejects.toMatchObject({ code: "invalid_request" });
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
