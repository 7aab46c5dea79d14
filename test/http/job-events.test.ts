// GET /v1/jobs/{id}/events: what a reader is told, and that it can come back.
import { connect } from "node:net";
import { expect, vi } from "vitest";
import { test } from "../support/fixtures.ts";
import { urlOf } from "./openai/client.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
let url: string;
test.beforeEach(async ({ startServer }) => {
  server = await startServer({}, { keepAliveMs: 50 });
  url = await urlOf(server.app);
});

const within = { timeout: 15_000, interval: 5 };

interface Read {
  events: { id?: string; event?: string; data: unknown }[];
  status: number;
  comments: () => number;
  /** Resolves when the stream has ended. */
  end: Promise<unknown>;
  leave(): void;
}

async function read(jobId: string, lastEventId?: string): Promise<Read> {
  const controller = new AbortController();
  const response = await fetch(`${url}/v1/jobs/${jobId}/events`, {
    headers: lastEventId === undefined ? {} : { "last-event-id": lastEventId },
    signal: controller.signal,
  });
  const events: Read["events"] = [];
  let comments = 0;
  const take = async () => {
    let rest = "";
    for await (const bytes of response.body ?? []) {
      const blocks = `${rest}${new TextDecoder().decode(bytes)}`.split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) {
        if (block.startsWith(":")) comments++;
        else {
          const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/).slice(0, 2)));
          events.push({ ...fields, data: JSON.parse(fields.data) });
        }
      }
    }
  };
  const end = take().catch(() => {});
  return { events, status: response.status, comments: () => comments, end, leave: () => controller.abort() };
}

function say(jobId: string, pieces: readonly string[], attempt = 1, from = 0): void {
  for (const [i, text] of pieces.entries()) {
    server.context.events.publish({ type: "tokens", jobId, attempt, index: from + i, text });
  }
}

const state = (jobId: string, status: string, id: string) => ({
  id,
  event: "state",
  data: { job_id: jobId, status },
});
const text = (text: string, id: string, attempt = 1) => ({ id, event: "text", data: { attempt, text } });

test("states and text, from the queue to the end", async () => {
  const jobId = await server.enqueue();
  const reader = await read(jobId);
  await vi.waitFor(() => expect(reader.events).toEqual([state(jobId, "queued", "0.0.0")]), within);
  await server.context.begin(jobId);
  server.context.events.publish({ type: "state", jobId, environment: "UAT", state: "in_progress", at: 0 });
  say(jobId, ["Ray", "leigh"]);
  await server.context.end(jobId, { status: "completed", text: "Rayleigh.", attempt: 1 });
  await reader.end;
  expect(reader.events).toEqual([
    state(jobId, "queued", "0.0.0"),
    state(jobId, "in_progress", "0.0.0"),
    text("Ray", "1.1.3"),
    text("leigh", "1.2.8"),
    text(".", "1.3.9"),
    state(jobId, "completed", "end"),
  ]);
  expect((await read(jobId, "end")).status).toBe(204);
});

test("a job that has ended is told at once", async () => {
  const jobId = await server.enqueue();
  await server.context.end(jobId, { status: "completed", text: "Rayleigh." });
  const reader = await read(jobId);
  await reader.end;
  expect(reader.events).toEqual([text("Rayleigh.", "0.1.9", 0), state(jobId, "completed", "end")]);
});

test("who comes back goes on where it was, on any process", async () => {
  const jobId = await server.enqueue();
  await server.context.begin(jobId);
  const first = await read(jobId);
  say(jobId, ["Ray", "lei"]);
  await vi.waitFor(() => expect(first.events.at(-1)).toEqual(text("lei", "1.2.6")), within);
  first.leave();

  const second = await read(jobId, "1.2.6");
  await vi.waitFor(() => expect(second.events).toEqual([state(jobId, "in_progress", "1.2.6")]), within);
  say(jobId, ["gh"], 1, 2);
  await vi.waitFor(() => expect(second.events.at(-1)).toEqual(text("gh", "1.3.8")), within);
  second.leave();

  await server.context.end(jobId, { status: "completed", text: "Rayleigh scattering.", attempt: 1 });
  const third = await read(jobId, "1.3.8");
  await third.end;
  expect(third.events).toEqual([text(" scattering.", "1.4.20"), state(jobId, "completed", "end")]);
});

test("pieces that were missed meanwhile are said to be, and come at the end", async () => {
  const jobId = await server.enqueue();
  await server.context.begin(jobId);
  const reader = await read(jobId, "1.1.3");
  await vi.waitFor(() => expect(reader.events).toHaveLength(1), within);
  say(jobId, ["gh", "."], 1, 2);
  await server.context.end(jobId, { status: "completed", text: "Rayleigh.", attempt: 1 });
  await reader.end;
  expect(reader.events.slice(1)).toEqual([
    { id: "1.1.3", event: "gap", data: { attempt: 1 } },
    text("leigh.", "1.2.9"),
    state(jobId, "completed", "end"),
  ]);
});

test("text of a call that was made again meanwhile is declared void", async () => {
  const jobId = await server.enqueue();
  const { n } = await server.context.begin(jobId);
  await server.context.store.endAttempt("UAT", jobId, n, { result: "transient", at: 1 });
  await server.context.begin(jobId);
  const reader = await read(jobId, "1.1.3");
  await vi.waitFor(() => expect(reader.events.length).toBe(2), within);
  say(jobId, ["Mie"], 2);
  await server.context.end(jobId, { status: "failed", error: { code: "internal", message: "x" } });
  await reader.end;
  expect(reader.events).toEqual([
    { id: "2.0.0", event: "restart", data: { attempt: 2 } },
    state(jobId, "in_progress", "2.0.0"),
    text("Mie", "2.1.3", 2),
    state(jobId, "failed", "end"),
  ]);
});

test("comments keep the connection alive", async () => {
  const reader = await read(await server.enqueue());
  await vi.waitFor(() => expect(reader.comments()).toBeGreaterThan(1), within);
  reader.leave();
});

test("a server that stops says so", async () => {
  const reader = await read(await server.enqueue());
  await vi.waitFor(() => expect(reader.events).toHaveLength(1), within);
  await server.app.close();
  await reader.end;
  expect(reader.events.at(-1)).toEqual({ event: "closed", data: { reason: "stopping" } });
});

test("who does not read is let go with an event that says so; the job goes on", async () => {
  const jobId = await server.enqueue();
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.pause();
  socket.write(`GET /v1/jobs/${jobId}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const { events } = server.context;
  await vi.waitFor(() => expect(events.hasListeners(jobId)).toBe(true), within);
  const piece = "x".repeat(64 * 1024);
  let index = 0;
  await vi.waitFor(() => {
    for (let i = 0; i < 100; i++) say(jobId, [piece], 1, index++);
    expect(events.hasListeners(jobId)).toBe(false);
  }, within);
  const received: Buffer[] = [];
  socket.on("data", (data: Buffer) => received.push(data));
  socket.resume();
  await vi.waitFor(() => expect(Buffer.concat(received).toString()).toContain('{"reason":"slow"}'), within);
  socket.destroy();
  expect((await server.context.store.get(jobId))?.state).toBe("queued");
});

test("a job that does not exist, and ids that no event can have", async () => {
  expect((await server.get("/v1/jobs/01a207b1-d804-714a-9b28-0f7074ddb0e8/events")).body.error.code).toBe(
    "job_not_found",
  );
  expect((await server.get("/v1/jobs/x/events")).status).toBe(400);
  const jobId = await server.enqueue();
  for (const id of ["x", "1.2", "1.2.3.4", "-1.0.0", "1".repeat(99)]) {
    const { status, body } = await server.get(`/v1/jobs/${jobId}/events`, { "last-event-id": id });
    expect([status, body.error.field]).toEqual([400, "Last-Event-ID"]);
  }
});
