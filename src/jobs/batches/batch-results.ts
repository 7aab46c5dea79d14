// Produces the results of a batch: a line of JSON for each of its lines, in the format of OpenAI's Batch API. Completed
// lines go to the output file, all others to the error file.

import { type BatchRequest, type BatchSteps, type LineCounts, lineJobId, lineOf } from "../../domain/batch.ts";
import type { JobId } from "../../domain/ids.ts";
import { type FinalState, isFinal } from "../../domain/job.ts";
import { jsonLine } from "../../domain/json-lines.ts";
import type { JobStore, LineRange, LineRecord } from "../../store/job-store.ts";
import { type LineFormat, requestLine } from "./batch-lines.ts";
import { jsonLines } from "./jsonl.ts";

type LineStore = Pick<JobStore, "lines" | "getRequests">;

/** Jobs in one read of the store, unless their answers are large. All answers of a read are in memory together. */
const pageSize = 250;

/** Returns the range of all jobs of a batch. */
export function lineRange({ id, environment, createdAt }: BatchRequest, fromLine = 0): LineRange {
  return { environment, submittedAt: createdAt, from: lineJobId(id, fromLine), to: lineJobId(id, 0xffff_ffff) };
}

/** Yields the jobs of a batch in the order of their lines. */
async function* lineRecords(
  store: LineStore,
  request: BatchRequest,
  format: LineFormat,
  fromLine = 0,
): AsyncIterable<LineRecord[]> {
  for (let from = fromLine; ; ) {
    const found = await store.lines({ ...lineRange(request, from), limit: pageSize, answers: true });
    if (found.length === 0) return;
    const page = format.needsRequest ? await withRequests(store, request, found) : found;
    yield page;
    from = lineOf(page.at(-1)!.job.id) + 1;
  }
}

/** Returns lines with their requests: as many as fit into memory, and at least one. */
async function withRequests(
  store: LineStore,
  { environment }: BatchRequest,
  page: LineRecord[],
): Promise<LineRecord[]> {
  const ids = page.map(({ job }) => job.id);
  const requests = await store.getRequests(environment, ids);
  // A removed job has no request. Those after the last request that was found may have one.
  const last = page.findLastIndex(({ job }) => requests.has(job.id));
  const whole = last < 0 ? page : page.slice(0, last + 1);
  return whole.map((record) => ({ ...record, job: { ...record.job, request: requests.get(record.job.id) } }));
}

/** A line of the file with its job. */
export interface AnsweredLine {
  number: number;
  customId: string;
  /** The line's text in the file. */
  text: string;
  /** Absent if the line has no job, because the batch ended first or the line was no longer valid. */
  record?: LineRecord;
}

/**
 * Yields the lines of a batch with their jobs.
 * @param bytes the validated input file
 */
export async function* answeredLines(
  store: LineStore,
  request: BatchRequest,
  format: LineFormat,
  bytes: AsyncIterable<Uint8Array>,
): AsyncIterable<AnsweredLine[]> {
  const pages = lineRecords(store, request, format)[Symbol.asyncIterator]();
  let page: LineRecord[] = [];
  let next = 0;
  const nextRecord = async (): Promise<LineRecord | undefined> => {
    if (next === page.length) {
      const { value, done } = await pages.next();
      if (done) return undefined;
      page = value;
      next = 0;
    }
    return page[next];
  };
  for await (const lines of jsonLines(bytes, Number.POSITIVE_INFINITY)) {
    for (let at = 0; at < lines.length; at += pageSize) {
      const answered: AnsweredLine[] = [];
      for (const line of lines.slice(at, at + pageSize)) {
        const { customId, number } = requestLine(line, request.endpoint, Number.POSITIVE_INFINITY);
        const record = await nextRecord();
        const own = record !== undefined && lineOf(record.job.id) === number;
        if (own) next++;
        answered.push({ number, customId, text: line.text!, ...(own && { record }) });
      }
      yield answered;
    }
  }
}

/** Returns the result of an ended line. */
export function resultOf(
  format: LineFormat,
  {
    id,
    customId,
    record,
    unsent,
  }: {
    id: JobId;
    customId: string;
    record?: LineRecord;
    /** Why the line has no job. */
    unsent: keyof typeof withoutAnswer;
  },
): object {
  const base = { id: `batch_req_${id.replaceAll("-", "")}`, custom_id: customId };
  const outcome = record?.outcome;
  if (record && outcome?.status === "completed") {
    const body = format.respond(record.job, outcome);
    // The text of a native answer has another place in each family's body.
    const text = format.keptAsText === "whole" ? { text: outcome.text ?? "" } : {};
    return { ...base, response: { status_code: 200, request_id: id, body, ...text }, error: null };
  }
  if (record && outcome?.status === "failed") {
    const { status, body } = format.fail(outcome.error!);
    return { ...base, response: { status_code: status, request_id: id, body }, error: null };
  }
  const why = outcome ? (outcome.status as "expired" | "cancelled") : unsent;
  return { ...base, response: null, error: withoutAnswer[why] };
}

const withoutAnswer = {
  expired: { code: "batch_expired", message: "The completion window passed before this request could be executed." },
  cancelled: { code: "batch_cancelled", message: "The batch was cancelled before this request was executed." },
  refused: {
    code: "invalid_request",
    message: "The configuration changed after the batch was validated, and no longer allows this request.",
  },
} as const;

/** Returns what happened to lines without a job, once the batch has ended. */
export function unsentOf({ cancelled, submitted }: BatchSteps): keyof typeof withoutAnswer {
  if (submitted) return "refused";
  return cancelled ? "cancelled" : "expired";
}

interface ResultsRange {
  after: number;
  limit: number;
  /** Called with the numbers of the lines before their results are yielded. */
  onPage?: (numbers: readonly number[]) => void;
}

/**
 * Yields the results of ended lines after a line, in the format of the output and error files, with their line numbers.
 */
export async function* resultsSoFar(
  store: LineStore,
  request: BatchRequest,
  format: LineFormat,
  { after, limit, onPage }: ResultsRange,
): AsyncIterable<string> {
  let left = limit;
  for await (const page of lineRecords(store, request, format, after + 1)) {
    const lines: string[] = [];
    const numbers: number[] = [];
    for (const record of page) {
      if (!isFinal(record.state) || !record.outcome) continue;
      if (lines.length === left) break;
      const { id, customId = "" } = record.job;
      const result = resultOf(format, { id, customId, record, unsent: "refused" });
      numbers.push(lineOf(id));
      lines.push(jsonLine({ ...result, line: lineOf(id) }));
    }
    left -= lines.length;
    onPage?.(numbers);
    if (lines.length > 0) yield `${lines.join("\n")}\n`;
    if (left === 0) return;
  }
}

/** The count that includes lines without a job. */
const countedAs = { refused: "failed", expired: "expired", cancelled: "cancelled" } as const satisfies Record<
  keyof typeof withoutAnswer,
  keyof LineCounts
>;

export function stateOf(record: LineRecord | undefined, unsent: keyof typeof withoutAnswer): FinalState {
  return record?.outcome?.status ?? countedAs[unsent];
}
