// Tells what a running batch has cost so far and will cost, from a sample of its ended lines. Reading every line would
// take seconds for a million of them. The sample has up to 500 lines, spread evenly over those that should have ended
// first. It is used again for at least ten seconds, and for at least twenty times its duration.
import { type BatchId, batchStatus, lineJobId } from "../../domain/batch.ts";
import { isFinal } from "../../domain/job.ts";
import type { JobsContext } from "../jobs-context.ts";
import type { Batch } from "./batch-records.ts";
import { lineRange } from "./batch-results.ts";
import type { StateCounts } from "./line-counter.ts";

/** Estimates from a sample. Lines without a known price count as 0. */
export interface BatchCost {
  /** Cost of the ended lines, in billionths of a US dollar. Exact if the sample has all of them. */
  soFarNanoUsd: number;
  /** Cost of all lines if the others cost as much as those of the sample. */
  expectedNanoUsd: number;
  /** Number of ended lines in the sample. */
  sampled: number;
}

export interface BatchCosts {
  /** Returns the cost of a batch that runs, or undefined before any of its lines has ended and after the batch has. */
  of(batch: Batch, counts: StateCounts): Promise<BatchCost | undefined>;
}

interface Sample {
  lines: number;
  nanoUsd: number;
}

const parts = 10;
const linesPerPart = 50;
const usedForMs = 10_000;
const usedForTimes = 20;
/** Batches whose samples are cached. */
const maxKept = 1000;

export function createBatchCosts(context: Pick<JobsContext, "store" | "clock">): BatchCosts {
  const { clock } = context;
  const kept = new Map<BatchId, { sample: Promise<Sample>; until: number }>();

  /** Keeps a sample once it is read. Concurrent callers share the read. */
  function sampleOf(batch: Batch, ended: number): Promise<Sample> {
    const { id } = batch.request;
    const before = kept.get(id);
    if (before && clock.now() < before.until) return before.sample;
    kept.delete(id);
    const [oldest] = kept.keys();
    if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
    const startedAt = clock.now();
    const entry = { sample: readSample(context, batch, ended), until: Number.POSITIVE_INFINITY };
    kept.set(id, entry);
    entry.sample.then(
      () => {
        entry.until = clock.now() + Math.max(usedForMs, usedForTimes * (clock.now() - startedAt));
      },
      () => kept.delete(id),
    );
    return entry.sample;
  }

  return {
    async of(batch, { completed, failed, expired, cancelled }) {
      const status = batchStatus(batch.steps);
      const ended = completed + failed + expired + cancelled;
      if (ended === 0 || (status !== "in_progress" && status !== "finalizing")) return undefined;
      const { lines: sampled, nanoUsd } = await sampleOf(batch, ended);
      if (sampled === 0) return undefined;
      const costOf = (lines: number) => Math.round((nanoUsd / sampled) * lines);
      return { soFarNanoUsd: costOf(ended), expectedNanoUsd: costOf(batch.steps.validated!.lines), sampled };
    },
  };
}

/** Reads the sample. Lines end about in their order, so it covers as many of the first lines as have ended. */
async function readSample({ store }: Pick<JobsContext, "store">, batch: Batch, ended: number): Promise<Sample> {
  const { request, steps } = batch;
  const covered = Math.min(steps.validated!.lastLine, Math.max(ended, parts * linesPerPart));
  const startOf = (part: number) => Math.floor((covered * part) / parts) + 1;
  const sample = { lines: 0, nanoUsd: 0 };
  for (let part = 0; part < parts; part++) {
    const to = lineJobId(request.id, startOf(part + 1));
    const records = await store.lines({ ...lineRange(request, startOf(part)), to, limit: linesPerPart });
    for (const { state, outcome } of records) {
      if (!isFinal(state)) continue;
      sample.lines += 1;
      sample.nanoUsd += outcome?.costNanoUsd ?? 0;
    }
  }
  return sample;
}
