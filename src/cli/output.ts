// How jobs are printed: answers on standard output, everything about them on standard error.
import { jsonLine } from "../domain/json-lines.ts";
import { describeError, type JobStatus } from "./client-options.ts";
import { exitCodes } from "./exit-codes.ts";

/** After waiting: the answer alone (its calls of tools where it has no text), or why there is none and the exit code that says so. */
export function printEnd(job: JobStatus, { json }: { json?: boolean }): void {
  if (json) console.log(jsonLine(job));
  else if (job.status === "completed") console.log(job.text ?? jsonLine(job.tool_calls));
  else console.error(`Job ${job.job_id} is ${job.status}.${job.error ? ` ${describeError(job.error)}` : ""}`);
  if (job.status !== "completed") process.exitCode = exitCodes.jobNotCompleted;
}

/** One line per field, nested ones as JSON, and the answer at the end. */
export function printStatus(job: JobStatus, { json }: { json?: boolean }): void {
  const { text, ...rest } = job;
  printFields(json ? job : rest, { json });
  if (text && !json) console.log(`\n${text}`);
}

/** One line per field that says something, nested ones as JSON. */
export function printFields(object: object, { json }: { json?: boolean | undefined }): void {
  if (json) {
    console.log(jsonLine(object));
    return;
  }
  const fields = Object.entries(object).filter(([, value]) => value !== null && value !== undefined);
  const width = Math.max(...fields.map(([name]) => name.length));
  for (const [name, value] of fields) {
    console.log(`${name.padEnd(width)}  ${typeof value === "string" ? value : JSON.stringify(value)}`);
  }
}
