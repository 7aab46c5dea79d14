// Durations in the rate-limit headers of OpenAI's API.
import { expect, test } from "vitest";
import { durationText } from "../../src/http/synchronous/quota-headers.ts";

test.each([
  [0, "0ms"],
  [12.1, "13ms"],
  [999, "999ms"],
  [1500, "1.5s"],
  [60_000, "1m0s"],
  [360_000, "6m0s"],
  [90_061_000, "25h1m1s"],
])("%d ms is %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});
