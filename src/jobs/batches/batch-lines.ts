// The lines of a batch's file: what each must be, and the job that it becomes. Both passes over the file read lines with
// this: the first one keeps the mistakes, the second one the jobs.
import { type BatchError, type BatchRequest, lineJobId } from "../../domain/batch.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { Job, JobError, JobHead, Outcome } from "../../domain/job.ts";
import type { Caller } from "../caller.ts";
import { buildJob } from "../submit/build-job.ts";
import { keepExact } from "../submit/exact-json.ts";
import type { FeasibilityContext } from "../submit/feasibility.ts";
import type { SubmitInput } from "../submit/submit-input.ts";
import { requireUnicodeIn } from "../submit/unicode.ts";
import type { JsonLine } from "./jsonl.ts";

/** What the calls of one endpoint look like: the body of a line, and what is answered to it. */
export interface LineFormat {
  /** Places in the body that keep a number which JavaScript cannot represent; see exact-json.ts. */
  keptAsText: readonly string[];
  /** @throws SluiceError with the field at fault */
  read(body: unknown, defaults: { environment: string; priority: "batch" }): { input: SubmitInput; stream: boolean };
  /** Whether the answer says what was asked: then the request is read as well. */
  needsRequest: boolean;
  /** The body of the answer of a completed job. */
  respond(job: JobHead & Partial<Job>, outcome: Outcome): object;
  /** Status and body of the answer of a job that failed. */
  fail(error: JobError): { status: number; body: object };
}

/** By the path of the endpoint. */
export type LineFormats = Readonly<Record<string, LineFormat>>;

/** A line that is as it must be. */
export interface RequestLine {
  number: number;
  customId: string;
  body: unknown;
  /** The whole line. */
  json: string;
}

const maxCustomIdLength = 512;

function gotOf(value: unknown): string {
  return typeof value === "string" ? quote(value) : JSON.stringify(value).slice(0, 60);
}

/** @throws SluiceError or LineError: what is wrong with the line */
export function requestLine({ number, text, problem }: JsonLine, endpoint: string, maxLineBytes: number): RequestLine {
  if (problem === "too_long") {
    throw new LineError("line_too_long", `The line is longer than ${maxLineBytes} bytes.`);
  }
  if (problem === "not_utf8") throw new LineError("invalid_utf8", "The line is not valid UTF-8.");
  let value: unknown;
  try {
    value = JSON.parse(text!);
  } catch (error) {
    throw new LineError("invalid_json_line", `The line is not valid JSON: ${(error as Error).message}.`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new LineError("invalid_json_line", "The line must be a JSON object.");
  }
  const { custom_id: customId, method, url, body } = value as Record<string, unknown>;
  requireFields(value);
  requireLineUnicode(value, text!);
  if (typeof customId !== "string" || customId === "" || customId.length > maxCustomIdLength) {
    const message = `custom_id must be a string of 1 to ${maxCustomIdLength} characters; got ${gotOf(customId)}.`;
    throw new LineError("invalid_custom_id", message, "custom_id");
  }
  if (method !== "POST") throw new LineError("invalid_method", `method must be POST; got ${gotOf(method)}.`, "method");
  if (url !== endpoint) {
    const message = `url must be the endpoint of the batch, ${endpoint}; got ${gotOf(url)}.`;
    throw new LineError("mismatched_url", message, "url");
  }
  return { number, customId, body, json: text! };
}

function requireLineUnicode(value: object, json: string): void {
  try {
    requireUnicodeIn(value, json);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    throw new LineError("invalid_request", error.message, error.details.field);
  }
}

const fields = ["custom_id", "method", "url", "body"];

/** Done for every line of a file: no object is made unless there is something to tell. */
function requireFields(line: object): void {
  for (const name of fields) {
    if (!(name in line)) throw new LineError("missing_required_parameter", `${name} is required.`, name);
  }
  for (const name in line) {
    if (fields.includes(name)) continue;
    const message = `${quote(name)} is not a field of a line; allowed: ${fields.join(", ")}.`;
    throw new LineError("invalid_request", message, name.slice(0, 100));
  }
}

/**
 * Returns the job of a line, with an id made of batch and line.
 * @throws SluiceError or LineError: what is wrong with the line; or `unavailable`: it cannot be told now
 */
export async function lineJob(
  context: FeasibilityContext,
  request: BatchRequest,
  format: LineFormat,
  { number, customId, body, json }: RequestLine,
): Promise<Job> {
  const { id: batchId, environment, createdAt: submittedAt, expiresAt } = request;
  keepExact(body, json, format.keptAsText, "body");
  const { input, stream } = format.read(body, { environment, priority: "batch" });
  if (stream) refuse("stream", "stream must not be true in a batch.");
  if (input.environment !== environment)
    refuse("environment", `environment must be that of the file, ${environment}; got ${gotOf(input.environment)}.`);
  if (input.ephemeral) refuse("store", "store must not be false in a batch: its answers are read later.");
  if (input.expiresInMs !== undefined) {
    refuse("expires_in", "expires_in is not allowed in a line. Set the completion_window of the batch.");
  }
  const id = lineJobId(batchId, number);
  return buildJob(context, input, callerOf(request), { id, submittedAt, expiresAt, batchId, customId });
}

function callerOf({ tenant, keyId, priorityMax, regions }: BatchRequest): Caller {
  const caller: Caller = { tenant, admin: false };
  if (keyId !== undefined) caller.keyId = keyId;
  if (priorityMax) caller.priorityMax = priorityMax;
  if (regions) caller.regions = regions;
  return caller;
}

function refuse(field: string, message: string): never {
  throw new SluiceError("invalid_request", message, { field });
}

/** A mistake in a line that no single call could have. */
export class LineError extends Error {
  override readonly name = "LineError";
  readonly code: string;
  readonly param: string | undefined;

  constructor(code: string, message: string, param?: string) {
    super(message);
    this.code = code;
    this.param = param;
  }
}

/** What is told about a line that cannot be accepted; undefined for an error that says nothing about the line. */
export function lineErrorOf(error: unknown, line: number): BatchError | undefined {
  if (error instanceof LineError) {
    const { code, message, param } = error;
    return { code, message, line, ...(param !== undefined && { param }) };
  }
  if (!(error instanceof SluiceError) || error.status >= 500) return undefined;
  const { code, message, details } = error;
  return { code, message, line, ...(details.field !== undefined && { param: `body.${details.field}` }) };
}
