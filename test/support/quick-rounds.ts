// Timers for tests of a whole service: what the service repeats every second or every few, it repeats twenty times as often.
import { systemTimers, type Timers } from "../../src/worker/timers.ts";

const everyFewSecondsMs = 10_000;

export const quickRounds: Timers = {
  after: (ms, run) => systemTimers.after(ms > everyFewSecondsMs ? ms : ms / 20, run),
};
