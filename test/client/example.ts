// How a program uses sluice/client: what stands in docs/client.md, held to the types by the compiler.
import type { Static } from "typebox";
import {
  type BatchDryRun,
  type BatchProgress,
  type BatchResource,
  type DryRun,
  type EnqueueRequest,
  type FileResource,
  type Job,
  type JobRequest,
  type JobSummary,
  SluiceApiError,
  type SluiceClient,
} from "../../src/client/index.ts";
import type { dryRunSchema } from "../../src/wire/dry-run-resource.ts";
import type { enqueueBody, jobBody } from "../../src/wire/job-request.ts";
import type { jobSchema, jobSummarySchema } from "../../src/wire/job-resource.ts";
import type { batchDryRunSchema } from "../../src/wire/openai/batch-dry-run-resource.ts";
import type { batchSchema, fileSchema } from "../../src/wire/openai/batch-resource.ts";

/**
 * Compiles only if a value of each type is one of the other: a field that the interface got belongs in
 * src/client/client-types.ts as well.
 */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
type Takes<Server, Client> = Client extends Server ? true : never;
type SameKeys<A, B> = Same<keyof A, keyof B>;
/** Asked for by a method of its own. */
type Submit<Body> = Omit<Body, "dry_run">;
export const heldToTheService: [
  Same<Static<typeof jobSchema>, Job>,
  Same<Static<typeof jobSummarySchema>, JobSummary>,
  Same<Static<typeof dryRunSchema>, DryRun>,
  Same<Static<typeof batchDryRunSchema>, BatchDryRun>,
  SameKeys<Static<typeof batchSchema>, BatchResource>,
  Same<Static<typeof batchSchema>["status"], BatchResource["status"]>,
  Same<Static<typeof fileSchema>, FileResource>,
  SameKeys<Submit<Static<ReturnType<typeof jobBody>>>, JobRequest>,
  SameKeys<Submit<Static<ReturnType<typeof enqueueBody>>>, EnqueueRequest>,
  Takes<Static<ReturnType<typeof jobBody>>, JobRequest>,
  Takes<Static<ReturnType<typeof enqueueBody>>, EnqueueRequest>,
] = [true, true, true, true, true, true, true, true, true, true, true];

export async function example(sluice: SluiceClient): Promise<string> {
  const { job_id } = await sluice.enqueue({ prompt: "Why is the sky blue?", environment: "UAT" });
  let text = "";
  for await (const event of sluice.stream(job_id)) {
    if (event.type === "text") text += event.text;
    else if (event.type === "restart") text = "";
    // @ts-expect-error: a state has no text
    else event.text;
  }
  const job = await sluice.wait(job_id, { timeoutMs: 60_000, signal: AbortSignal.timeout(120_000) });
  // @ts-expect-error: one that has ended is not queued
  if (job.status === "queued") return "";
  try {
    // @ts-expect-error: a priority that there is not
    await sluice.submit({ messages: [{ role: "user", content: "Hi" }], environment: "UAT", priority: "high" });
  } catch (error) {
    if (error instanceof SluiceApiError) console.error(error.code, error.field, error.advice, error.retryAfter);
  }
  async function* prompts() {
    for (let i = 0; i < 3; i++) yield { customId: `p${i}`, body: { messages: [{ role: "user", content: `${i}` }] } };
  }
  const onProgress = ({ status, completed, total }: BatchProgress) => console.log(status, completed, total);
  for await (const { customId, text: answer, error } of sluice.batch(prompts(), { model: "m", onProgress })) {
    console.log(customId, answer ?? error?.message);
  }
  const file = await sluice.uploadFile([new TextEncoder().encode("{}\n")], { environment: "UAT" });
  const batch = await sluice.createBatch({ input_file_id: file.id, completion_window: "7d" });
  const ended = await sluice.waitForBatch(batch.id, { onBatch: ({ progress }) => console.log(progress.queued) });
  for await (const { customId, text: answer } of sluice.batchResults(ended.id)) console.log(customId, answer);
  if (ended.request_counts.failed > 0) await sluice.retryBatch(ended.id);
  for await (const { job_id: id, status } of sluice.list({ status: "failed" })) console.log(id, status);
  return text;
}
