import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Deadlines } from "../../src/providers/deadlines.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const timeouts = { connectMs: 1, firstByteMs: 100, idleMs: 10, totalMs: 1_000 };
const never = new AbortController().signal;

test("each event restarts the idle timer", () => {
  const deadlines = new Deadlines(timeouts, never, true);
  vi.advanceTimersByTime(99);
  for (let event = 0; event < 20; event++) {
    deadlines.onEvent();
    vi.advanceTimersByTime(9);
  }
  expect(deadlines.signal.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(deadlines.expired).toEqual({ limit: "idle", afterMs: 10 });
});

test("events do not prolong the total", () => {
  const deadlines = new Deadlines(timeouts, never, true);
  for (let ms = 0; ms < 1_000; ms += 5) {
    deadlines.onEvent();
    vi.advanceTimersByTime(5);
  }
  expect(deadlines.expired).toEqual({ limit: "total", afterMs: 1_000 });
});

test.each([0, 1])("no timer or listener remains after the call (after %i events)", (events) => {
  const caller = new AbortController();
  const deadlines = new Deadlines(timeouts, caller.signal, true);
  for (let event = 0; event < events; event++) deadlines.onEvent();
  deadlines.stop();
  expect(vi.getTimerCount()).toBe(0);
  deadlines.onEvent();
  expect(vi.getTimerCount()).toBe(0);
  caller.abort();
  expect(deadlines.signal.aborted).toBe(false);
});

test("the caller's abort is no timeout", () => {
  const caller = new AbortController();
  const deadlines = new Deadlines(timeouts, caller.signal, true);
  caller.abort();
  expect(deadlines.signal.aborted).toBe(true);
  expect(deadlines.expired).toBeUndefined();
  deadlines.stop();
});

test.each([
  ["firstByte", 0],
  ["idle", 1],
] as const)("A1: a process that was frozen reads what has arrived before it times out: %s", (limit, events) => {
  let frozenMs = 0;
  const start = Date.now();
  const deadlines = new Deadlines(timeouts, never, true, () => Date.now() - start + frozenMs);
  for (let event = 0; event < events; event++) deadlines.onEvent();
  frozenMs = 60_000;
  vi.advanceTimersByTime(1_000);
  expect(deadlines.signal.aborted).toBe(false);
  // An event arrived, so the usual timeout applies again.
  deadlines.onEvent();
  frozenMs = 60_000;
  vi.advanceTimersByTime(10);
  expect(deadlines.expired).toEqual({ limit: "idle", afterMs: 10 });

  frozenMs = 0;
  const silent = new Deadlines(timeouts, never, true, () => Date.now() - start + frozenMs);
  for (let event = 0; event < events; event++) silent.onEvent();
  frozenMs = 60_000;
  vi.advanceTimersByTime(10_000);
  expect(silent.expired?.limit).toBe(limit);
});
