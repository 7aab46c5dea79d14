// Answers a synchronous call in one piece.
import type { JobRecord } from "../../domain/job.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { waitForEnd } from "../../jobs/read/wait.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { failureOf, nameJob, runCall, type SynchronousCall, submitCall, whileCallerWaits } from "./synchronous-call.ts";

/**
 * Submits a job, names it in the reply's headers, and waits for its end.
 * @returns the completed job
 * @throws SluiceError as `submitCall`, or why there is no answer
 */
export function answerWhole(context: CallersContext, call: SynchronousCall): Promise<JobRecord> {
  return runCall(context, call, () => answer(context, call));
}

async function answer(context: CallersContext, call: SynchronousCall): Promise<JobRecord> {
  const { reply, caller, options, input, limits, disconnected } = call;
  const submitted = await submitCall(context, input, caller, options, { streamed: false });
  const { job } = submitted;
  nameJob(reply, job);
  const record = await whileCallerWaits(context, submitted, call, () =>
    waitForEnd(context, job.id, caller, { waitMs: options.waitMs, texts: options.texts, signal: disconnected }),
  );
  if (limits) reply.headers((await limits())(job));
  eraseOnceRead(context, reply, caller, record);
  const failure = failureOf(record, call);
  if (failure) throw failure;
  return record;
}
