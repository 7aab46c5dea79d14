// Blobs: all of the bytes or none, in the order in which they went in.
import { createHash, randomUUID } from "node:crypto";
import { expect, type TestAPI } from "vitest";
import type { JobStore } from "../../../src/store/job-store.ts";

async function* streamOf(...pieces: (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}

async function bytesOf(blob: AsyncIterable<Uint8Array> | undefined): Promise<Buffer | undefined> {
  if (!blob) return undefined;
  const pieces: Uint8Array[] = [];
  for await (const piece of blob) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

export function blobCases(store: () => JobStore, test: TestAPI): void {
  const blobs = () => store().blobs;

  test("bytes come back as they went in, in pieces of any size", async () => {
    for (const pieces of [[], [""], ["a"], ["one\n", "", "two\n", Buffer.of(0, 255, 10)]]) {
      const key = randomUUID();
      const all = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
      expect(await blobs().put("UAT", key, streamOf(...pieces))).toBe(all.length);
      expect(await bytesOf(await blobs().read("UAT", key))).toEqual(all);
    }
  });

  test("a blob of some megabytes is the same after it was read, also by two at once", async () => {
    const piece = Buffer.from(Array.from({ length: 70_001 }, (_, i) => (i * 7) % 256));
    const key = randomUUID();
    const hash = createHash("sha256");
    async function* many() {
      for (let i = 0; i < 45; i++) {
        hash.update(piece);
        // The same memory each time, as from a socket that reuses it.
        yield piece;
      }
    }
    expect(await blobs().put("UAT", key, many())).toBe(45 * piece.length);
    const expected = hash.digest("hex");
    const read = async () =>
      createHash("sha256")
        .update((await bytesOf(await blobs().read("UAT", key)))!)
        .digest("hex");
    expect(await Promise.all([read(), read()])).toEqual([expected, expected]);
  });

  test("a stream that fails leaves no blob, and its error is told", async () => {
    const key = randomUUID();
    async function* broken() {
      yield Buffer.alloc(1_500_000, "x");
      throw new Error("the sender went away");
    }
    await expect(blobs().put("UAT", key, broken())).rejects.toThrow("the sender went away");
    expect(await blobs().read("UAT", key)).toBeUndefined();
    expect(await blobs().put("UAT", key, streamOf("another try"))).toBe(11);
  });

  test("a reader may stop in the middle", async () => {
    const key = randomUUID();
    await blobs().put("UAT", key, streamOf(Buffer.alloc(3_000_000, "x")));
    for await (const piece of (await blobs().read("UAT", key))!) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect((await bytesOf(await blobs().read("UAT", key)))!.length).toBe(3_000_000);
  });

  test("a removed blob is gone, and its neighbours are not; removing twice is no error", async () => {
    const key = randomUUID();
    await blobs().put("UAT", key, streamOf("some"));
    await blobs().put("UAT", `${key}0`, streamOf("other"));
    await blobs().remove("UAT", key);
    await blobs().remove("UAT", key);
    expect(await blobs().read("UAT", key)).toBeUndefined();
    expect(await bytesOf(await blobs().read("UAT", `${key}0`))).toEqual(Buffer.from("other"));
  });

  test("unknown keys and environments, and keys that are paths", async () => {
    expect(await blobs().read("UAT", randomUUID())).toBeUndefined();
    await expect(blobs().put("nowhere", "a", streamOf("x"))).rejects.toMatchObject({ code: "unknown_environment" });
    for (const key of ["", "../a", "a/b", "a.b", "x".repeat(101)]) {
      await expect(blobs().put("UAT", key, streamOf("x"))).rejects.toThrow(RangeError);
      await expect(blobs().read("UAT", key)).rejects.toThrow(RangeError);
    }
  });
}
