// What waits, as a table: for status and top.
import { age, grouped } from "./formats.ts";
import type { WaitingRow } from "./service-state.ts";
import type { Column } from "./table.ts";

export const queueColumns: readonly Column[] = [
  { title: "environment", atLeast: 6 },
  { title: "priority" },
  { title: "model", atLeast: 8, cutAt: "middle", optional: true },
  { title: "ready", align: "right" },
  { title: "delayed", align: "right" },
  { title: "oldest", align: "right", optional: true },
  { title: "waits for", optional: true },
];

/** Returns the cells of each row. An environment is named in its first row only. */
export function queueRows(queue: readonly WaitingRow[], now: number): string[][] {
  return queue.map(({ environment, priority, model, ready, delayed, oldest_at, waiting_on }, i) => [
    queue[i - 1]?.environment === environment ? "" : environment,
    priority,
    model ?? "",
    grouped(ready),
    grouped(delayed),
    oldest_at ? age(oldest_at, now) : "",
    waiting_on?.kind.replaceAll("_", " ") ?? "",
  ]);
}
