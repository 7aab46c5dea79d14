// A list of texts that a model cannot embed in one call becomes several attempts of one job. Each attempt embeds the
// texts that follow those with stored vectors, stores its own, and returns the job to its place in the queue. The last
// one makes the outcome of all of them.
import { callOf, isEmbedding } from "../../domain/embedding-request.ts";
import type { JobError } from "../../domain/job.ts";
import { countStored, joinedParts, removeVectors, storePart } from "../../jobs/vector-parts.ts";
import type { BeginResult } from "../../store/job-store.ts";
import type { WorkerContext } from "../worker-context.ts";
import type { Begun } from "./call-provider.ts";
import type { EndedAttempt } from "./disposition.ts";

type Context = Pick<WorkerContext, "store" | "settings" | "log">;

/** How operations of the store are retried; see GrantRecord. */
interface Retries {
  store<T>(what: string, operation: () => Promise<T>): Promise<T>;
  readonly hasGivenUp: boolean;
}

const lost: JobError = {
  code: "internal",
  message: "The vectors of the job's calls could not be stored; the service's log has the details.",
};

/** Reduces the request of a job to what the attempt sends, if the job needs several calls. */
export async function withPart(
  context: Context,
  begun: BeginResult & { status: "begun" },
  retries: Retries,
): Promise<Begun> {
  const { job, attempt, earlier } = begun;
  const { request } = job;
  if (!isEmbedding(request)) return begun;
  const deployment = context.settings.models[attempt.model]?.deployments.find(({ id }) => id === attempt.deployment);
  const { textsPerCall = Number.POSITIVE_INFINITY } = deployment?.traits.embeddings ?? {};
  const known = Math.max(0, ...earlier.map(({ end }) => end?.embedded ?? 0));
  const from =
    earlier.length === 0 ? 0 : await retries.store("count stored vectors", () => countStored(context, job, known));
  const isLast = from + textsPerCall >= request.embeddings.texts;
  if (from === 0 && isLast) return begun;
  return { ...begun, job: { ...job, request: callOf(request, from, textsPerCall) }, part: { from, isLast } };
}

/** Stores the vectors of an attempt, or joins those of the last one with the stored ones. */
export async function joinParts(
  context: Context,
  { job, part }: Begun,
  ended: EndedAttempt,
  retries: Retries,
): Promise<EndedAttempt> {
  const { end, disposition } = ended;
  const { outcome, ...requeued } = disposition;
  if (!part || outcome?.status !== "completed") return ended;
  const { usage } = end;
  const own = { vectors: outcome.vectors ?? [], ...(usage && { usage }) };
  const concluded = (changed: typeof outcome) => ({ end, disposition: { ...requeued, outcome: changed } });
  try {
    if (!part.isLast) {
      const embedded = await retries.store("store vectors", () => storePart(context, job, part.from, own));
      const settlement = { ...requeued.settlement, job: { requeueAfterMs: 0 } };
      return { end: { ...end, embedded }, disposition: { ...requeued, settlement } };
    }
    const stored = await retries.store("read stored vectors", () => joinedParts(context, job));
    if (stored.vectors.length < part.from)
      throw new Error(`found ${stored.vectors.length} vectors of ${part.from} texts`);
    return concluded({
      ...outcome,
      vectors: [...stored.vectors.slice(0, part.from), ...own.vectors],
      usage: {
        input: stored.usage.input + (usage?.input ?? 0),
        output: stored.usage.output + (usage?.output ?? 0),
      },
    });
  } catch (error) {
    if (retries.hasGivenUp) throw error;
    context.log.error({ err: error, jobId: job.id, environment: job.environment }, "failed to keep vectors");
    return concluded({ status: "failed", error: lost });
  }
}

/** Removes the stored vectors of a job that has ended. Never fails: a sweep repeats it. */
export async function discardParts(
  context: Context,
  { job, part }: Begun,
  { disposition }: EndedAttempt,
): Promise<void> {
  if (!part || part.from === 0 || !disposition.outcome) return;
  await removeVectors(context, job).catch((error) =>
    context.log.debug({ err: error, jobId: job.id }, "failed to remove stored vectors; the sweep repeats it"),
  );
}
