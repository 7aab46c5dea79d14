// Defines the dependencies of batch processing.
import type { LineFormats } from "../../jobs/batches/batch-lines.ts";
import type { WorkerContext } from "../worker-context.ts";

export interface BatchContext extends WorkerContext {
  formats: LineFormats;
}

/** Thrown to stop a pass over a batch midway, because the process ends or another process has the batch. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}
