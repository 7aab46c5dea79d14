// The results of a batch, in the order of its lines, page by page.
import type { BatchResource, BatchResult } from "./batch-types.ts";
import { SluiceConnectionError } from "./client-errors.ts";
import { linesOf } from "./lines.ts";
import type { Transport } from "./transport.ts";

/** A line of the service's results. */
interface ResultLine {
  custom_id: string;
  line?: number;
  response: { status_code: number; body: Record<string, unknown>; text?: string } | null;
  error: { code: string; message: string } | null;
}

/** Lines in one answer. */
const pageSize = 1000;
const maxTries = 5;

/**
 * Yields the results as the service writes them, one JSON object a line, without line ends. Of a batch that has not ended,
 * yields the lines that have.
 * @throws SluiceConnectionError if results of an ended batch are missing
 */
export async function* resultLines(
  transport: Transport,
  { id, request_counts: { total }, error_file_id: errorFile }: BatchResource,
  signal: AbortSignal | undefined,
): AsyncGenerator<string> {
  let read = 0;
  /** Requests without an answer, which the error file has too. */
  const unanswered = new Set<string>();
  let after = 0;
  for (let tries = 0; ; ) {
    let inPage = 0;
    try {
      const response = await transport.open(`/v1/batches/${id}/results?after=${after}&limit=${pageSize}`, { signal });
      for await (const text of linesOf(response)) {
        const line = JSON.parse(text) as ResultLine;
        after = line.line!;
        inPage++;
        read++;
        tries = 0;
        if (line.response?.status_code !== 200) unanswered.add(line.custom_id);
        yield text;
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      // Cut in the middle of a page: the next page begins after the last line that arrived.
      const cut = !(error instanceof Error && error.name.startsWith("Sluice"));
      if (!cut || ++tries >= maxTries) throw error;
      continue;
    }
    if (inPage < pageSize) break;
  }
  if (read === total || errorFile === undefined) return;

  // Requests that never became jobs, because the batch ended first.
  const response = await transport.open(`/v1/files/${errorFile}/content`, { signal });
  for await (const text of linesOf(response)) {
    if (unanswered.has((JSON.parse(text) as ResultLine).custom_id)) continue;
    read++;
    yield text;
  }
  if (read < total) {
    throw new SluiceConnectionError(`Batch ${id} returned only ${read} of ${total} results.`);
  }
}

/** Yields the same results as objects. */
export async function* batchResults(
  transport: Transport,
  batch: BatchResource,
  signal: AbortSignal | undefined,
): AsyncGenerator<BatchResult> {
  for await (const text of resultLines(transport, batch, signal)) yield resultOf(JSON.parse(text) as ResultLine);
}

function resultOf({ custom_id, response, error }: ResultLine): BatchResult {
  if (!response) return { customId: custom_id, text: null, response: null, error };
  const { status_code: status, body, text } = response;
  const { choices, error: refused } = body as {
    choices?: { message?: { content?: string | null } }[];
    error?: { code?: string | null; message?: string };
  };
  // Results of requests in Bedrock's own format say their text.
  const answer = text ?? choices?.[0]?.message?.content ?? null;
  const answered = { customId: custom_id, text: answer, response: { status, body } };
  if (status === 200) return { ...answered, error: null };
  return { ...answered, error: { code: refused?.code ?? "unknown", message: refused?.message ?? `Status ${status}.` } };
}
