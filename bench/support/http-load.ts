// Generates load for a server on this machine, from a process of its own that sleeps between requests. Sluice and its
// baseline get the same generator, so it favors neither.
import { fork } from "node:child_process";
import { once } from "node:events";
import { answerOf } from "./child-answer.ts";

/** A body to send repeatedly: from connections that each wait for their answers, or at a fixed rate. */
export type Load = { url: string; body: string; durationS?: number; amount?: number } & (
  | { connections: number }
  | { rate: number; durationS: number }
);

export interface Loaded {
  /** Answers per second. */
  perS: number;
  /** Times from the moment each request was due to the end of its answer, in milliseconds, ascending. */
  latencies: number[];
  /** How late the generator sent each request of an open loop, in milliseconds, ascending. Latencies include it. */
  lateness: number[];
  /** CPU time of the generator for each request, in microseconds. */
  cpuUs: number;
}

/** Runs a load to its end. @throws Error if an answer is not 200 or a connection fails */
export type Generator = (load: Load) => Promise<Loaded>;

/** Starts the generator's process, and ends it when `use` ends. */
export async function withGenerator<T>(use: (generate: Generator) => Promise<T>): Promise<T> {
  const child = fork(new URL("./load-generator.js", import.meta.url));
  const exited = once(child, "exit");
  try {
    return await use((load) => {
      const loaded = answerOf<Loaded>(child);
      child.send(load);
      return loaded;
    });
  } finally {
    child.kill();
    await exited;
  }
}
