// Talking to a running service, for the commands that do.
import { readVariable } from "../config/environment.ts";
import { errorTable } from "../domain/errors.ts";
import { isFinal, type JobState } from "../domain/job.ts";
import { CommandError } from "./exit-codes.ts";

/** What `GET /status/{job_id}` answers, as far as the commands look at it; --json prints all of it. */
export interface JobStatus {
  job_id: string;
  status: JobState;
  text: string | null;
  error: { code: string; message: string } | null;
}

export function defaultServiceUrl(): string {
  return readVariable(process.env, "SLUICE_URL") ?? "http://127.0.0.1:8000";
}

/** Answers within this, or something is wrong. */
const timeoutMs = 30_000;
/** How long one request waits for the end of a job: the least that any configuration allows (limits.maxWaitS). */
const waitS = 5;

export async function enqueueJob(url: string, body: object): Promise<{ job_id: string }> {
  return (await callService(url, "POST", "/enqueue", body)) as { job_id: string };
}

export async function readStatus(url: string, jobId: string): Promise<JobStatus> {
  return (await callService(url, "GET", `/status/${encodeURIComponent(jobId)}`)) as JobStatus;
}

/** What `GET /v1/deployments` answers, as far as the commands look at it. */
export async function readDeployments(url: string): Promise<{ quotas: { name: string; effective_limit: number }[] }> {
  return (await callService(url, "GET", "/v1/deployments")) as { quotas: { name: string; effective_limit: number }[] };
}

/** Returns when the job has ended, however long that takes. */
export async function waitForJob(url: string, jobId: string): Promise<JobStatus> {
  for (;;) {
    const job = (await callService(url, "GET", `/v1/jobs/${encodeURIComponent(jobId)}?wait=${waitS}`)) as JobStatus;
    if (isFinal(job.status)) return job;
  }
}

/** Nobody listens at the address. */
export class NotRunningError extends CommandError {}

/**
 * Sends a request, with the API key of SLUICE_API_KEY if it is set, and answers what came back as JSON.
 * @throws CommandError if there is no such answer, or it is an error
 */
export async function callService(baseUrl: string, method: string, path: string, body?: object): Promise<unknown> {
  const key = apiKey();
  let response: Response;
  let text: string;
  try {
    response = await fetch(addressOf(baseUrl, path), {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(body && { "content-type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (error) {
    throw unreachable(baseUrl, error);
  }
  const content = parseJson(text);
  if (response.ok && typeof content === "object" && content !== null) return content;
  throw refused(baseUrl, response.status, content);
}

/** Never shown, also not where it is wrong. */
function apiKey(): string | undefined {
  const key = readVariable(process.env, "SLUICE_API_KEY");
  if (key === undefined || /^[\x21-\x7e]{1,1000}$/.test(key)) return key;
  throw new CommandError(
    "SLUICE_API_KEY is not an API key; allowed: sk-sluice-..., as `sluice keys create` printed it.",
  );
}

function addressOf(baseUrl: string, path: string): string {
  try {
    return new URL(baseUrl.replace(/\/+$/, "") + path).href;
  } catch {
    throw new CommandError(`${baseUrl} is not an address; write it like http://127.0.0.1:8000 (--url or SLUICE_URL).`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreachable(url: string, error: unknown): unknown {
  if (error instanceof CommandError) return error;
  const { name, message, cause } = error as Error & { cause?: NodeJS.ErrnoException };
  if (cause?.code === "ECONNREFUSED") {
    return new NotRunningError(
      `The service is not running at ${url}: the connection was refused. Start it with \`sluice serve\` (or npm start), or name another address with --url or SLUICE_URL.`,
    );
  }
  if (name === "TimeoutError") return new CommandError(`The service at ${url} does not answer.`);
  return new CommandError(`The service at ${url} cannot be reached: ${cause?.message || cause?.code || message}`);
}

function refused(url: string, status: number, content: unknown): CommandError {
  const error = (content as { error?: { code?: unknown; message?: unknown } } | undefined)?.error;
  if (typeof error?.code !== "string") {
    return new CommandError(`${url} answered ${status}, but not as Sluice does. Is it the right address?`);
  }
  return new CommandError(describeError({ code: error.code, message: String(error.message) }));
}

/** `exceeds_quota: why`, and what to do about it on a line of its own. */
export function describeError({ code, message }: { code: string; message: string }): string {
  const advice = Object.hasOwn(errorTable, code) ? errorTable[code as keyof typeof errorTable].advice : undefined;
  return `${code}: ${message}${advice ? `\n${advice}` : ""}`;
}
