// How long a call of an AWS SDK is held before it is asked to come back.
import { describe, expect, test } from "vitest";
import { holdMsOf } from "../../src/http/synchronous/held-call.ts";
import { type Caller, keylessCaller } from "../../src/jobs/caller.ts";

const now = Date.UTC(2026, 11, 1, 10, 15, 0);

function held(headers: Record<string, string>, caller: Partial<Caller> = {}): number {
  return holdMsOf({ headers, caller: { ...keylessCaller, ...caller } }, now) / 1000;
}

describe("the longest wait", () => {
  test("is 55 s, or the key's, or the header's", () => {
    expect(held({})).toBe(55);
    expect(held({}, { maxWaitS: 20 })).toBe(20);
    expect(held({ "x-sluice-max-wait": "120" }, { maxWaitS: 20 })).toBe(120);
  });

  test.each(["0", "86401", "1.5", "-1", "1e3", "", " 5", "soon"])("cannot be %j", (value) => {
    expect(() => held({ "x-sluice-max-wait": value })).toThrow(
      `x-sluice-max-wait must be whole seconds from 1 to 86400; got ${JSON.stringify(value)}.`,
    );
  });
});

describe("the deadline of an SDK's attempt", () => {
  test("ends the wait two seconds earlier", () => {
    expect(held({ "amz-sdk-request": "ttl=20261201T101510Z; attempt=2; max=3" })).toBe(8);
    expect(held({ "amz-sdk-request": "attempt=1; max=3; ttl=20261201T101510Z" })).toBe(8);
  });

  test("does not make the wait longer", () => {
    expect(held({ "amz-sdk-request": "ttl=20261201T111510Z; attempt=2; max=3" })).toBe(55);
  });

  test.each([
    ["passed", "ttl=20261201T101459Z; attempt=2; max=3"],
    ["so near that the clocks must differ", "ttl=20261201T101502Z; attempt=2; max=3"],
    ["no time", "ttl=20269901T9; attempt=2; max=3"],
    ["absent", "attempt=2; max=3"],
  ])("is ignored if it is %s", (_why, value) => {
    expect(held({ "amz-sdk-request": value })).toBe(55);
  });
});
