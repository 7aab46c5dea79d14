// Holds the rule of files that share a process: each one closes the servers and ends the processes that it started, and
// takes back the environment variables that it set. Otherwise a service would run on and answer the next file.
import { afterAll, expect, vi } from "vitest";

afterAll(async () => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
  const left = () => process.getActiveResourcesInfo().filter((what) => ["TCPServerWrap", "ProcessWrap"].includes(what));
  await vi.waitFor(() => expect(left(), "This file left servers open or processes running.").toEqual([]), 5_000);
});
