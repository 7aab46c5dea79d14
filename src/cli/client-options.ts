// Talking to a running service, for the commands that do: the client, with errors in the words of the command line.
import {
  type ApiKey,
  type DryRun,
  type EnqueueRequest,
  type Job,
  SluiceApiError,
  SluiceClient,
  SluiceConnectionError,
} from "../client/index.ts";
import { readVariable } from "../config/environment.ts";
import { maskSecrets } from "../config/secret-hider.ts";
import { errorTable } from "../domain/errors.ts";
import { CommandError } from "./exit-codes.ts";
import { WaitLines } from "./wait-lines.ts";

/** What `GET /status/{job_id}` answers, as far as the commands look at it; --json prints all of it. */
export type JobStatus = Pick<Job, "job_id" | "status" | "text" | "tool_calls" | "error">;

export function defaultServiceUrl(): string {
  return readVariable(process.env, "SLUICE_URL") ?? "http://127.0.0.1:8000";
}

export function enqueueJob(url: string, body: EnqueueRequest): Promise<{ job_id: string }> {
  return ask(url, (service) => service.enqueue(body));
}

export function tryJob(url: string, body: EnqueueRequest): Promise<DryRun> {
  return ask(url, (service) => service.dryRun(body));
}

export function readStatus(url: string, jobId: string): Promise<JobStatus> {
  return callService(url, "GET", `/status/${encodeURIComponent(jobId)}`);
}

/** What `GET /v1/deployments` answers, as far as the commands look at it. */
export function readDeployments(url: string): Promise<{ quotas: { name: string; effective_limit: number }[] }> {
  return callService(url, "GET", "/v1/deployments");
}

/** Returns when the job has ended, however long that takes. Says meanwhile, on standard error, why it waits. */
export function waitForJob(url: string, jobId: string): Promise<JobStatus> {
  return ask(url, async (service) => {
    const lines = new WaitLines(process.stderr);
    try {
      const job = await service.get(jobId);
      if (job.status !== "queued" && job.status !== "in_progress") return job;
      lines.show(job);
      return await service.wait(jobId, { onJob: (read) => lines.show(read) });
    } finally {
      lines.done();
    }
  });
}

/** All API keys of the service. */
export function readKeys(url: string): Promise<ApiKey[]> {
  return ask(url, async (service) => {
    const keys: ApiKey[] = [];
    for await (const key of service.keys()) keys.push(key);
    return keys;
  });
}

/** Sends a request, with the API key of SLUICE_API_KEY if it is set. @throws CommandError */
export function callService<T>(url: string, method: "GET" | "POST", path: string, body?: object): Promise<T> {
  return ask(url, (service) => service.request<T>(method, path, body));
}

/** Nobody listens at the address. */
export class NotRunningError extends CommandError {}

async function ask<T>(url: string, use: (service: SluiceClient) => Promise<T>): Promise<T> {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url) || new URL(url).username + new URL(url).password !== "") {
    throw new CommandError(
      "The address of the service (--url or SLUICE_URL) is not valid. " +
        `Write it like http://127.0.0.1:8000, without a user name or password; got ${maskSecrets(url)}.`,
    );
  }
  const key = apiKey();
  // Whoever typed the command sees at once that there is no answer, and decides.
  const service = new SluiceClient({ baseUrl: url, maxRetries: 0, ...(key !== undefined && { apiKey: key }) });
  try {
    return await use(service);
  } catch (error) {
    if (error instanceof SluiceApiError) throw new CommandError(describeError(error));
    if (error instanceof SluiceConnectionError) throw unreachable(url, error);
    throw error;
  }
}

/** Never shown, also not where it is wrong. */
function apiKey(): string | undefined {
  const key = readVariable(process.env, "SLUICE_API_KEY");
  if (key === undefined || /^[\x21-\x7e]{1,1000}$/.test(key)) return key;
  throw new CommandError(
    "SLUICE_API_KEY is not an API key; allowed: sk-sluice-..., as `sluice keys create` printed it.",
  );
}

function unreachable(url: string, { status, message, cause }: SluiceConnectionError): CommandError {
  if (status !== undefined) {
    return new CommandError(`${url} answered ${status}, but not as Sluice does. Is it the right address?`);
  }
  const { code } = ((cause as Error | undefined)?.cause ?? {}) as NodeJS.ErrnoException;
  if (code !== "ECONNREFUSED") return new CommandError(message);
  return new NotRunningError(
    `The service is not running at ${url}: the connection was refused. Start it with \`sluice serve\` (or npm start), or name another address with --url or SLUICE_URL.`,
  );
}

/** `exceeds_quota: why`, and what to do about it on a line of its own. */
export function describeError({ code, message }: { code: string; message: string }): string {
  const advice = Object.hasOwn(errorTable, code) ? errorTable[code as keyof typeof errorTable].advice : undefined;
  return `${code}: ${message}${advice ? `\n${advice}` : ""}`;
}
