// Every randomised test takes its seed from TEST_SEED, so that a run can be repeated. Without it each run has a new seed,
// which fast-check and the tests that use `testSeed` print when they fail.
import fc from "fast-check";

/** An integer of at least 0 and below 2^31. */
export const testSeed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);

if (process.env.TEST_SEED !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: testSeed });
