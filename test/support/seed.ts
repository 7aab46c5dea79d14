// Every randomised test takes its seed from TEST_SEED and its own name, so that a run can be repeated, and no two tests
// draw the same ids. Without TEST_SEED each run has new seeds, which fast-check and the tests that use `testSeed` print
// when they fail.
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { beforeEach } from "vitest";

/** An integer of at least 0 and below 2^31. */
export const testSeed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);

if (process.env.TEST_SEED !== undefined) {
  beforeEach(({ task }) => {
    fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: crc32(`${testSeed} ${task.name}`) | 0 });
  });
}
