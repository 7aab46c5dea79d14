// The parts that a file goes through: bytes, lines, custom_ids; and ids made of batch and line.
import fc from "fast-check";
import { expect, test } from "vitest";
import { lineJobId, lineOf, newBatchId, retryBatchId } from "../../src/domain/batch.ts";
import { isUuid } from "../../src/domain/ids.ts";
import { CustomIds } from "../../src/jobs/batches/custom-ids.ts";
import { type JsonLine, jsonLines } from "../../src/jobs/batches/jsonl.ts";

async function linesOf(bytes: Buffer, cuts: number[] = [], maxLineBytes = 1_000): Promise<JsonLine[]> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  async function* chunks() {
    for (const [i, from] of places.entries()) yield Buffer.from(bytes.subarray(from, places[i + 1] ?? bytes.length));
  }
  const lines: JsonLine[] = [];
  for await (const some of jsonLines(chunks(), maxLineBytes)) lines.push(...some);
  return lines;
}

test("lines are the same however the bytes are cut", async () => {
  const line = fc.constantFrom("", " ", '{"a":1}', "漢字 😀", "x", "\t", "{", "y".repeat(40));
  const text = fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(text, line, fc.boolean(), fc.array(fc.nat()), async (ended, last, mark, cuts) => {
      const all = `${mark ? "\ufeff" : ""}${ended.map((parts) => parts.join("")).join("")}${last}`;
      const expected = [...ended.map(([content]) => content), last].flatMap((content, i) =>
        content.trim() === "" ? [] : [{ number: i + 1, text: content }],
      );
      const lines = await linesOf(Buffer.from(all), cuts);
      expect(lines.map(({ number, text }) => ({ number, text: text?.replace(/\r$/, "") }))).toEqual(expected);
    }),
  );
});

test("a line that is too long and one that is not UTF-8 are told by their numbers, and the others are read", async () => {
  const bytes = Buffer.concat([
    Buffer.from(`first\n${"x".repeat(1_001)}\n${"y".repeat(1_000)}\n`),
    Buffer.of(0xff, 0xfe, 0x0a),
    Buffer.from("last"),
  ]);
  for (const cuts of [[], [500, 900, 1_500, 1_600], Array.from({ length: 500 }, (_, i) => i * 5)]) {
    const lines = await linesOf(bytes, cuts);
    expect(lines).toEqual([
      { number: 1, text: "first" },
      { number: 2, problem: "too_long" },
      { number: 3, text: "y".repeat(1_000) },
      { number: 4, problem: "not_utf8" },
      { number: 5, text: "last" },
    ]);
  }
});

test("custom_ids: each is found again by its line, and no other one is taken for it", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 3 }), { maxLength: 300 }), (ids) => {
      const seen = new CustomIds(2);
      const lines = new Map<string, number>();
      for (const [i, id] of ids.entries()) {
        expect(seen.add(id, i + 1)).toBe(lines.get(id));
        if (!lines.has(id)) lines.set(id, i + 1);
      }
    }),
  );
  // Ids as people make them.
  const seen = new CustomIds();
  let taken = 0;
  for (let i = 1; i <= 200_000; i++) if (seen.add(`request-${i}`, i) !== undefined) taken++;
  expect(taken).toBe(0);
  expect(seen.add("request-77777", 200_001)).toBe(77_777);
});

test("ids of jobs are UUIDs that sort by line and begin with their batch", () => {
  const line = fc.integer({ min: 1, max: 0xffff_fffe });
  fc.assert(
    fc.property(line, line, (a, b) => {
      const batch = newBatchId();
      const [idA, idB] = [lineJobId(batch, a), lineJobId(batch, b)];
      expect(isUuid(idA)).toBe(true);
      expect([lineOf(idA), lineOf(idB)]).toEqual([a, b]);
      expect(idA < idB).toBe(a < b);
      expect(idA.replaceAll("-", "").slice(0, 24)).toBe(batch.slice("batch_".length));
      expect(lineJobId(newBatchId(), a) > idA).toBe(true);
    }),
  );
});

test("a retry has one id, and is no other batch", () => {
  const batch = newBatchId();
  expect(retryBatchId(batch, 1_000)).toBe(retryBatchId(batch, 1_000));
  expect(retryBatchId(batch, 1_000)).not.toBe(retryBatchId(newBatchId(), 1_000));
});
