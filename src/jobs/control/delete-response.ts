// Deletes a response of OpenAI's API: its job stays, without its texts.
import { SluiceError } from "../../domain/errors.ts";
import type { JobRecord } from "../../domain/job.ts";
import { audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { cancelJob } from "./cancel.ts";

/**
 * Cancels the job of a response if it has not ended, and erases its prompt and answer.
 * @throws what the store throws
 */
export function deleteResponse(context: JobsContext, { job, outcome }: JobRecord, caller: Caller): Promise<void> {
  return audited(context, caller, "response.delete", { target: { type: "job", id: job.id } }, async () => {
    if (!outcome) await endOrFindEnded(context, job.id, caller);
    await context.store.eraseTexts(job.environment, job.id);
  });
}

async function endOrFindEnded(context: JobsContext, jobId: string, caller: Caller): Promise<void> {
  await cancelJob(context, jobId, caller).catch((error) => {
    if (!(error instanceof SluiceError && error.code === "conflict")) throw error;
  });
}
