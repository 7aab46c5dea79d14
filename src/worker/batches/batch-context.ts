// What taking batches further is given to work with.
import type { LineFormats } from "../../jobs/batches/batch-lines.ts";
import type { WorkerContext } from "../worker-context.ts";

export interface BatchContext extends WorkerContext {
  formats: LineFormats;
}

/** Thrown where a pass over a batch has to stop in the middle: the process ends, or another one has the batch. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}
