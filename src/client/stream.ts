// Streams a job's events over as many connections as necessary. Each connection continues where the previous one broke
// off.
import { SluiceConnectionError } from "./client-errors.ts";
import { isFinal, type JobEvent, type JobStatus } from "./client-types.ts";
import { linesOf } from "./lines.ts";
import { delayAfter, sleep, type Transport } from "./transport.ts";

/** Maximum silence on a connection, in milliseconds. The service sends something every 10 seconds. */
const silenceMs = 35_000;

export async function* streamJob(
  transport: Transport,
  jobId: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobEvent> {
  let lastId: string | undefined;
  let lastStatus: JobStatus | undefined;
  /** Consecutive connections without a new event. */
  let failures = 0;
  for (;;) {
    const response = await transport.open(`/v1/jobs/${encodeURIComponent(jobId)}/events`, {
      headers: { accept: "text/event-stream", ...(lastId !== undefined && { "last-event-id": lastId }) },
      signal,
    });
    // No event follows the last one received.
    if (response.status === 204) return;
    try {
      for await (const { id, event } of eventsOf(response)) {
        lastId = id ?? lastId;
        // Every connection repeats the state.
        if (!event || (event.type === "state" && event.status === lastStatus)) continue;
        if (event.type === "state") lastStatus = event.status;
        failures = 0;
        yield event;
        if (event.type === "state" && isFinal(event.status)) return;
      }
    } catch {
      if (signal?.aborted) throw signal.reason;
      // The connection was cut or silent for too long: the next one continues.
    }
    if (failures > transport.maxRetries) {
      throw new SluiceConnectionError(
        `The stream of job ${jobId} broke off ${failures + 1} times without a new event.`,
      );
    }
    await sleep(failures === 0 ? 0 : delayAfter(undefined, failures - 1), signal);
    failures++;
  }
}

/** Yields server-sent events. Unknown events have no `event`, but keep their position in the stream. */
async function* eventsOf(response: Response): AsyncGenerator<{ id: string | undefined; event: JobEvent | undefined }> {
  let fields: Record<string, string> = {};
  for await (const line of linesOf(response, silenceMs)) {
    if (line === "") {
      if (fields.data !== undefined) yield { id: fields.id, event: eventOf(fields.event, fields.data) };
      fields = {};
      continue;
    }
    const colon = line.indexOf(":");
    // Comments only keep the connection alive.
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
  }
}

function eventOf(type: string | undefined, data: string): JobEvent | undefined {
  const content = JSON.parse(data);
  switch (type) {
    case "state":
      return { type, status: content.status };
    case "text":
      return { type, text: content.text, attempt: content.attempt };
    case "restart":
      return { type, attempt: content.attempt };
    default:
      return undefined;
  }
}
