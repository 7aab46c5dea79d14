// A job's events as they come, over as many connections as it takes: each goes on where the one before broke off.
import { SluiceConnectionError } from "./client-errors.ts";
import { isFinal, type JobEvent, type JobStatus } from "./client-types.ts";
import { linesOf } from "./lines.ts";
import { delayAfter, sleep, type Transport } from "./transport.ts";

/** The service sends something every 10 seconds: after so long without, the connection is dead. */
const silenceMs = 35_000;

export async function* streamJob(
  transport: Transport,
  jobId: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobEvent> {
  let lastId: string | undefined;
  let lastStatus: JobStatus | undefined;
  /** Connections in a row that brought no news. */
  let failures = 0;
  for (;;) {
    const response = await transport.open(`/v1/jobs/${encodeURIComponent(jobId)}/events`, {
      headers: { accept: "text/event-stream", ...(lastId !== undefined && { "last-event-id": lastId }) },
      signal,
    });
    // There is nothing after the last event that we have.
    if (response.status === 204) return;
    try {
      for await (const { id, event } of eventsOf(response)) {
        lastId = id ?? lastId;
        // Every connection tells the state anew.
        if (!event || (event.type === "state" && event.status === lastStatus)) continue;
        if (event.type === "state") lastStatus = event.status;
        failures = 0;
        yield event;
        if (event.type === "state" && isFinal(event.status)) return;
      }
    } catch {
      if (signal?.aborted) throw signal.reason;
      // Cut, or silent for too long: the next connection goes on.
    }
    if (failures > transport.maxRetries) {
      throw new SluiceConnectionError(`The stream of job ${jobId} broke off ${failures + 1} times without any news.`);
    }
    await sleep(failures === 0 ? 0 : delayAfter(undefined, failures - 1), signal);
    failures++;
  }
}

/** Server-sent events. Those that the reader has no use for have no `event`, but a place in the stream. */
async function* eventsOf(response: Response): AsyncGenerator<{ id: string | undefined; event: JobEvent | undefined }> {
  let fields: Record<string, string> = {};
  for await (const line of linesOf(response, silenceMs)) {
    if (line === "") {
      if (fields.data !== undefined) yield { id: fields.id, event: eventOf(fields.event, fields.data) };
      fields = {};
      continue;
    }
    const colon = line.indexOf(":");
    // Comments keep the connection alive.
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
