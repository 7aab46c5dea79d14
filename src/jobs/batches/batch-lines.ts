// Checks the lines of a batch's file and converts them to jobs. Both passes over the file use it: the first one keeps
// the errors, the second one the jobs.
import { type BatchError, type BatchRequest, lineJobId } from "../../domain/batch.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { Job, JobError, JobHead, Outcome } from "../../domain/job.ts";
import { scanJson } from "../../domain/json-scan.ts";
import { JsonText } from "../../domain/json-text.ts";
import type { Caller } from "../caller.ts";
import { buildJob } from "../submit/build-job.ts";
import { keepExact } from "../submit/exact-json.ts";
import type { FeasibilityContext } from "../submit/feasibility.ts";
import { requireFewValues } from "../submit/json-size.ts";
import type { SubmitInput } from "../submit/submit-input.ts";
import { requireUnicodeIn } from "../submit/unicode.ts";
import type { JsonLine } from "./jsonl.ts";

/** The request and response format of one endpoint. */
export interface LineFormat {
  /**
   * Places in the body whose numbers stay exact although JavaScript cannot represent them; see exact-json.ts. With
   * `whole`, `read` gets the body as a JsonText.
   */
  keptAsText: readonly string[] | "whole";
  /**
   * Converts a body to submit input.
   * @throws SluiceError with the field at fault
   */
  read(body: unknown, defaults: { environment: string; priority: "batch" }): { input: SubmitInput; stream: boolean };
  /** Whether the response repeats the request, so that the request must be read as well. */
  needsRequest: boolean;
  /** Returns the response body of a completed job. */
  respond(job: JobHead & Partial<Job>, outcome: Outcome): object;
  /** Returns status and response body of a failed job. */
  fail(error: JobError): { status: number; body: object };
}

/** The formats of all endpoints. */
export interface LineFormats {
  /** Returns the format of an endpoint, by its path. Undefined if a batch cannot have it. */
  of(endpoint: string): LineFormat | undefined;
  /** The endpoints, as errors name them. */
  readonly endpoints: readonly string[];
}

/** A valid line. */
export interface RequestLine {
  number: number;
  customId: string;
  body: unknown;
  /** The key of the body in the line. */
  bodyKey: "body" | "modelInput";
  /** The text of the whole line. */
  json: string;
}

const maxCustomIdLength = 512;

function gotOf(value: unknown): string {
  return typeof value === "string" ? quote(value) : JSON.stringify(value).slice(0, 60);
}

/**
 * Parses a line.
 * @throws SluiceError or LineError with the error of the line
 */
export function requestLine({ number, text, problem }: JsonLine, endpoint: string, maxLineBytes: number): RequestLine {
  if (problem === "too_long") {
    throw new LineError("line_too_long", `The line is longer than ${maxLineBytes} bytes.`);
  }
  if (problem === "not_utf8") throw new LineError("invalid_utf8", "The line is not valid UTF-8.");
  requireFewValues(text!);
  let value: unknown;
  try {
    value = JSON.parse(text!);
  } catch (error) {
    throw new LineError("invalid_json_line", `The line is not valid JSON: ${(error as Error).message}.`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new LineError("invalid_json_line", "The line must be a JSON object.");
  }
  if ("modelInput" in value) return bedrockLine(value, { number, text: text! }, endpoint);
  const { custom_id: customId, method, url, body } = value as Record<string, unknown>;
  requireFields(value, fields);
  requireLineUnicode(value, text!);
  requireCustomId(customId, "custom_id");
  if (method !== "POST") throw new LineError("invalid_method", `method must be POST; got ${gotOf(method)}.`, "method");
  if (url !== endpoint) {
    const message = `url must be the endpoint of the batch, ${endpoint}; got ${gotOf(url)}.`;
    throw new LineError("mismatched_url", message, "url");
  }
  return { number, customId, body, bodyKey: "body", json: text! };
}

/** Returns a line in the format of Bedrock's batch inference, `{"recordId", "modelInput"}`. */
function bedrockLine(value: object, { number, text }: { number: number; text: string }, endpoint: string): RequestLine {
  const { recordId, modelInput: body } = value as Record<string, unknown>;
  requireFields(value, ["recordId", "modelInput"]);
  requireLineUnicode(value, text);
  requireCustomId(recordId, "recordId");
  if (!endpoint.startsWith("/model/")) {
    const message = `A line with modelInput needs a batch whose endpoint is /model/{modelId}/converse or /model/{modelId}/invoke; got ${endpoint}.`;
    throw new LineError("mismatched_url", message, "modelInput");
  }
  return { number, customId: recordId, body, bodyKey: "modelInput", json: text };
}

function requireCustomId(id: unknown, field: string): asserts id is string {
  if (typeof id === "string" && id !== "" && id.length <= maxCustomIdLength) return;
  const message = `${field} must be a string of 1 to ${maxCustomIdLength} characters; got ${gotOf(id)}.`;
  throw new LineError("invalid_custom_id", message, field);
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

/** Requires the fields of a line. It runs for every line, so it creates no objects unless there is an error. */
function requireFields(line: object, fields: readonly string[]): void {
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
 * Returns the job of a line, with an id derived from batch and line.
 * @throws SluiceError or LineError with the error of the line; SluiceError `unavailable` if the line cannot be checked
 *   now
 */
export function lineJob(
  context: FeasibilityContext,
  request: BatchRequest,
  format: LineFormat,
  line: RequestLine,
): Job | Promise<Job> {
  const { id: batchId, environment, createdAt: submittedAt, expiresAt, trace: linkedTrace } = request;
  const { number, customId } = line;
  const { input, stream } = format.read(bodyFor(format, line), { environment, priority: "batch" });
  if (stream) refuse("stream", "stream must not be true in a batch.");
  if (input.environment !== environment)
    refuse("environment", `environment must be that of the file, ${environment}; got ${gotOf(input.environment)}.`);
  if (input.ephemeral) refuse("store", "store must not be false in a batch: its answers are read later.");
  if (input.expiresInMs !== undefined) {
    refuse("expires_in", "expires_in is not allowed in a line. Set the completion_window of the batch.");
  }
  const id = lineJobId(batchId, number);
  const given = { id, submittedAt, expiresAt, batchId, customId, ...(linkedTrace && { linkedTrace }) };
  return buildJob(context, input, callerOf(request), given);
}

/** Returns the body as the format reads it. */
function bodyFor({ keptAsText }: LineFormat, { body, bodyKey, json }: RequestLine): unknown {
  if (keptAsText !== "whole") {
    keepExact(body, json, keptAsText, { root: bodyKey });
    return body;
  }
  // Of a key that occurs twice, the last value counts.
  const text = scanJson(json, [bodyKey]).at(-1)?.text;
  if (typeof body !== "object" || body === null || Array.isArray(body) || text === undefined) {
    throw new LineError("invalid_request", `${bodyKey} must be a JSON object.`, bodyKey);
  }
  return new JsonText(text);
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

/** An error that only a line of a batch can have. */
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

/** Returns the error to report for a line, or undefined if the error does not concern the line. */
export function lineErrorOf(error: unknown, line: number): BatchError | undefined {
  if (error instanceof LineError) {
    const { code, message, param } = error;
    return { code, message, line, ...(param !== undefined && { param }) };
  }
  if (!(error instanceof SluiceError) || error.status >= 500) return undefined;
  const { code, message, details } = error;
  return { code, message, line, ...(details.field !== undefined && { param: `body.${details.field}` }) };
}
