// Many operations that wait for the same signal are no leak, and Node prints no warning about them.
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AllowedNetworks } from "../../src/domain/networks.ts";
import { sharedAbort, sharedTimeout } from "../../src/domain/shared-abort.ts";
import { retryForever } from "../../src/worker/retry-forever.ts";
import { systemTimers } from "../../src/worker/timers.ts";
import { post } from "../../src/worker/webhooks/post.ts";

const warnings: Error[] = [];
const collect = (warning: Error) => void warnings.push(warning);
beforeEach(() => {
  warnings.length = 0;
  process.on("warning", collect);
});
afterEach(() => void process.off("warning", collect));

const many = <T>(make: () => Promise<T>) => Array.from({ length: 30 }, make);

test("F16: thirty writes that wait for an unreachable store", async () => {
  const giveUp = sharedAbort();
  const context = { log: pino({ level: "silent" }), timers: { after: () => () => {} }, random: () => 0.5 };
  const writes = many(() => retryForever(context, "Storing", giveUp.signal, () => Promise.reject(new Error("away"))));
  await new Promise(setImmediate);
  giveUp.abort();
  expect((await Promise.allSettled(writes)).every(({ status }) => status === "rejected")).toBe(true);
  await new Promise(setImmediate);
  expect(warnings).toEqual([]);
});

test("F16: thirty webhooks that wait when the service stops", async () => {
  const stopping = sharedAbort();
  const options = {
    networks: new AllowedNetworks([]),
    timeoutMs: 60_000,
    signal: stopping.signal,
    resolveHost: async () => [],
    timers: { after: () => () => {} },
  };
  const posts = many(() => post("https://name.example/", {}, Buffer.from(""), options));
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  stopping.abort();
  await Promise.all(posts);
  expect(warnings).toEqual([]);
});

test("F16: a time limit that many wait for", async () => {
  const signal = sharedTimeout(60_000);
  for (let i = 0; i < 30; i++) signal.addEventListener("abort", () => {}, { once: true });
  await new Promise(setImmediate);
  expect(warnings).toEqual([]);
});

test("D12: the service's timers take any number of milliseconds", async () => {
  for (const ms of [2 ** 31, Number.MAX_VALUE, Number.POSITIVE_INFINITY]) {
    systemTimers.after(ms, () => expect.unreachable())();
  }
  await new Promise(setImmediate);
  expect(warnings).toEqual([]);
});
