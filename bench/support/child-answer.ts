import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Returns the next message of a child process. @throws Error if the process ends before */
export async function answerOf<T>(child: ChildProcess): Promise<T> {
  const heard = new AbortController();
  const exited = once(child, "exit", { signal: heard.signal }).then(() => {
    throw new Error("A process of the benchmark ended.");
  });
  exited.catch(() => {});
  const [answer] = await Promise.race([once(child, "message"), exited]);
  heard.abort();
  return answer as T;
}
