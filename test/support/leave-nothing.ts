// Holds the rule of files that share a process: each one closes the servers and ends the processes that it started, and
// takes back the environment variables that it set. Otherwise a service would run on and answer the next file.
import { afterAll, expect, vi } from "vitest";

const running = () =>
  process.getActiveResourcesInfo().filter((what) => ["TCPServerWrap", "ProcessWrap"].includes(what));
const before = running().length;

afterAll(async () => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
  const left = () =>
    expect(running().length - before, "servers and processes that this file left").toBeLessThanOrEqual(0);
  await vi.waitFor(left, 5_000);
});
