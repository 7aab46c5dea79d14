// The worker's part in tests of calls whose caller waits for an answer in Bedrock's format.
import { expect, vi } from "vitest";
import type { NativeAnswer } from "../../src/domain/native-request.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

export const within = { timeout: 10_000, interval: 5 };

/** Returns what a test needs to play the worker of a server. Call `watch` before each test. */
export function heldCalls(server: () => ServerUnderTest) {
  const accepted: string[] = [];

  /** Ends a job whose attempt has begun. */
  async function complete(jobId: string, native: NativeAnswer): Promise<void> {
    const usage = { input: 3, output: 4 };
    const outcome = { status: "completed" as const, text: "Because.", attempt: 1, usage, native };
    await server().context.end(jobId, outcome, { result: "completed", usage });
  }

  return {
    /** Ids of accepted jobs that `acceptedJob` has not returned. */
    accepted,
    complete,
    /** Notes the jobs that the server accepts from now on. */
    watch() {
      accepted.length = 0;
      server().context.events.publishAccepted = (jobs) => accepted.push(...jobs.map(({ id }) => id));
    },
    /** Returns the next accepted job, once there is one. */
    async acceptedJob(): Promise<string> {
      await vi.waitFor(() => expect(accepted.length).toBeGreaterThan(0), within);
      return accepted.shift()!;
    },
    recordOf: async (jobId: string) => (await server().context.store.get(jobId))!,
    hasCallers: (jobId: string, count: number) =>
      vi.waitFor(() => expect(server().context.callers.callersOf(jobId)).toBe(count), within),
    /** Begins the attempt of a job, and ends the job. */
    async answer(jobId: string, native: NativeAnswer): Promise<void> {
      await server().context.begin(jobId);
      await complete(jobId, native);
    },
  };
}
