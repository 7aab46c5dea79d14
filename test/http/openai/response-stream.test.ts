// GET /v1/responses/{id}?stream=true as OpenAI's own client reads it; the test plays the worker.
import type OpenAI from "openai";
import type { ResponseStreamEvent } from "openai/resources/responses/responses";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Outcome } from "../../../src/domain/job.ts";
import { createHttpServer } from "../../../src/http/server.ts";
import { type ServerUnderTest, startServerUnderTest } from "../server-under-test.ts";
import { clientOf, urlOf } from "./client.ts";

let server: ServerUnderTest;
let client: OpenAI;
beforeAll(async () => {
  server = await startServerUnderTest();
  client = clientOf(await urlOf(server.app));
});
afterAll(async () => {
  server.app.server.closeAllConnections();
  await server.close();
});

const within = { timeout: 15_000, interval: 5 };
const ask = { model: "llama3-3-70b", input: "Why is the sky blue?", background: true };

interface Reader {
  events: ResponseStreamEvent[];
  end: Promise<void>;
  leave(): void;
}

async function read(id: string, starting_after?: number): Promise<Reader> {
  const after = starting_after === undefined ? {} : { starting_after };
  const stream = await client.responses.retrieve(id, { stream: true, ...after });
  const events: ResponseStreamEvent[] = [];
  const end = (async () => {
    for await (const event of stream) events.push(event);
  })();
  end.catch(() => {});
  return { events, end, leave: () => stream.controller.abort() };
}

async function submitted(): Promise<{ id: string; jobId: string }> {
  const { data, response } = await client.responses.create(ask).withResponse();
  return { id: data.id, jobId: response.headers.get("x-sluice-job-id")! };
}

function state(jobId: string, name: "in_progress" | "queued"): void {
  server.context.events.publish({ type: "state", jobId, environment: "UAT", state: name, at: 0 });
}
function say(jobId: string, index: number, text: string, attempt = 1): void {
  server.context.events.publish({ type: "tokens", jobId, attempt, index, text });
}
const numbers = ({ events }: Pick<Reader, "events">) => events.map((event) => event.sequence_number);
const types = ({ events }: Pick<Reader, "events">) => events.map((event) => event.type.replace("response.", ""));
const textOf = (events: readonly ResponseStreamEvent[]) =>
  events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");

type End = Omit<Outcome, "at" | "jobId">;
const done: End & { text: string } = {
  status: "completed",
  text: "Rayleigh scattering.",
  finishReason: "stop",
  attempt: 1,
  usage: { input: 7, output: 2 },
  toolCalls: [{ id: "c", name: "f", arguments: "{}" }],
};

test("from the queue to the end; a reader that left continues where it was, also long after the end", async () => {
  const { id, jobId } = await submitted();
  const first = await read(id);
  await vi.waitFor(() => expect(types(first)).toEqual(["created"]), within);
  expect(first.events[0]).toMatchObject({ sequence_number: 0, response: { id, status: "queued" } });
  await server.context.begin(jobId);
  state(jobId, "in_progress");
  await vi.waitFor(() => expect(types(first)).toEqual(["created", "in_progress"]), within);
  // Throttled and begun again: readers have seen no text of it yet.
  state(jobId, "queued");
  state(jobId, "in_progress");
  say(jobId, 0, "Ray");
  say(jobId, 1, "leigh");
  await vi.waitFor(() => expect(textOf(first.events)).toBe("Rayleigh"), within);
  expect(numbers(first)).toEqual([0, 1, 2, 3, 6, 11]);
  first.leave();

  const second = await read(id, 6);
  server.context.events.publish({ type: "tokens", jobId, attempt: 1, index: 0, text: "Rayleigh", pieces: 2 });
  say(jobId, 2, " scat");
  await vi.waitFor(() => expect(textOf(second.events)).toBe("leigh scat"), within);
  expect(numbers(second)).toEqual([11, 16]);
  await server.context.end(jobId, done);
  await second.end;
  expect(textOf(second.events)).toBe("leigh scattering.");
  expect(types(second).slice(-8)).toEqual([
    ...["output_text.done", "content_part.done", "output_item.done"],
    ...["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"],
    "completed",
  ]);
  const last = second.events.at(-1)!;
  expect(last).toMatchObject({
    response: { id, status: "completed", output: [{ type: "message" }, { call_id: "c" }] },
  });

  const whole = await read(id);
  await whole.end;
  expect(textOf(whole.events)).toBe(done.text);
  expect(whole.events.find((event) => event.type === "response.output_text.done")).toMatchObject({ text: done.text });
  expect(whole.events.at(-1)).toEqual(last);
  // After any of them come exactly those that stand behind it.
  for (const [i, number] of numbers(whole).entries()) {
    const rest = await read(id, number);
    await rest.end;
    expect(rest.events).toEqual(whole.events.slice(i + 1));
  }
  for (let chars = 1; chars < done.text.length; chars++) {
    const rest = await read(id, 3 + chars);
    await rest.end;
    expect(textOf(rest.events)).toBe(done.text.slice(chars));
    expect(rest.events.at(-1)).toEqual(last);
  }
  const beyond = await read(id, last.sequence_number + 1000);
  await beyond.end;
  expect(beyond.events).toEqual([]);
});

test("the helper of OpenAI's client puts the response together", async () => {
  const { id, jobId } = await submitted();
  const helper = client.responses.stream({ response_id: id, starting_after: 6 });
  const seen: number[] = [];
  const reading = (async () => {
    for await (const event of helper) seen.push(event.sequence_number);
  })();
  await server.context.begin(jobId);
  await vi.waitFor(() => expect(server.context.events.hasListeners(jobId)).toBe(true), within);
  say(jobId, 0, "Ray");
  say(jobId, 1, "leigh");
  await server.context.end(jobId, done);
  await reading;
  expect(seen.every((number) => number > 6)).toBe(true);
  expect((await helper.finalResponse()).output_text).toBe(done.text);
});

describe("another call began", () => {
  test("during a stream: it breaks off, and is read again from the beginning", async () => {
    const { id, jobId } = await submitted();
    await server.context.begin(jobId);
    const reader = await read(id);
    await vi.waitFor(() => expect(server.context.events.hasListeners(jobId)).toBe(true), within);
    say(jobId, 0, "Ray");
    await vi.waitFor(() => expect(textOf(reader.events)).toBe("Ray"), within);
    server.context.events.publish({ type: "restart", jobId, attempt: 2 });
    await expect(reader.end).rejects.toMatchObject({ code: "stream_interrupted" });
    await server.context.begin(jobId);

    const last = reader.events.at(-1)!.sequence_number;
    const conflict = { status: 409, code: "conflict", param: "starting_after" };
    await expect(client.responses.retrieve(id, { stream: true, starting_after: last })).rejects.toMatchObject(conflict);
    const anew = await read(id);
    await vi.waitFor(() => expect(server.context.events.hasListeners(jobId)).toBe(true), within);
    say(jobId, 0, "Scattering", 2);
    await vi.waitFor(() => expect(textOf(anew.events)).toBe("Scattering"), within);
    anew.leave();
    await server.context.end(jobId, { ...done, text: "Scattering.", attempt: 2 });
    await expect(client.responses.retrieve(id, { stream: true, starting_after: last })).rejects.toMatchObject(conflict);
    const rest = await read(id, anew.events.at(-1)!.sequence_number);
    await rest.end;
    expect(textOf(rest.events)).toBe(".");
    const whole = await read(id);
    await whole.end;
    expect(numbers(whole)).toEqual(numbers(whole).toSorted((a, b) => a - b));
    expect(numbers(whole)[4]).toBe(1e9 + 3 + "Scattering.".length);
  });

  test("and an earlier one was answered after all: numbers of a later one are refused", async () => {
    const { id, jobId } = await submitted();
    await server.context.begin(jobId);
    await server.context.end(jobId, { ...done, attempt: 1 });
    // Before the text of the second call, in it, and of one long after.
    for (const starting_after of [1e9 + 2, 1e9 + 3 + 5, 7e9 + 10]) {
      await expect(client.responses.retrieve(id, { stream: true, starting_after })).rejects.toMatchObject({
        ...{ status: 409, code: "conflict", param: "starting_after" },
        message: expect.stringContaining("from the start"),
      });
    }
    const rest = await read(id, 3 + "Rayleigh".length);
    await rest.end;
    expect(textOf(rest.events)).toBe(" scattering.");
  });

  test("before there was any text: the reader does not notice", async () => {
    const { id, jobId } = await submitted();
    const reader = await read(id);
    await vi.waitFor(() => expect(server.context.events.hasListeners(jobId)).toBe(true), within);
    server.context.events.publish({ type: "restart", jobId, attempt: 2 });
    say(jobId, 0, "Ray", 2);
    await server.context.end(jobId, { ...done, text: "Ray", attempt: 2 });
    await reader.end;
    expect(textOf(reader.events)).toBe("Ray");
  });
});

test.each<[End, string, string]>([
  [{ ...done, finishReason: "length" }, "incomplete", "incomplete"],
  [{ status: "failed", error: { code: "provider_rejected", message: "No." } }, "failed", "failed"],
  [{ status: "expired", error: { code: "expired", message: "Late." } }, "failed", "failed"],
  [{ status: "cancelled" }, "failed", "cancelled"],
])("a response that ended otherwise: %j", async (outcome, event, status) => {
  const { id, jobId } = await submitted();
  const reader = await read(id);
  await server.context.begin(jobId);
  await vi.waitFor(() => expect(server.context.events.hasListeners(jobId)).toBe(true), within);
  say(jobId, 0, "Ray");
  await vi.waitFor(() => expect(textOf(reader.events)).toBe("Ray"), within);
  await server.context.end(jobId, outcome);
  await reader.end;
  const last = reader.events.at(-1)!;
  expect(last).toMatchObject({ type: `response.${event}`, response: { id, status } });
  expect(numbers(reader)).toEqual([...new Set(numbers(reader))].toSorted((a, b) => a - b));
  for (const after of [undefined, 0, 6]) {
    const again = await read(id, after);
    await again.end;
    expect(again.events.at(-1)).toEqual(last);
  }
  const nothing = await read(id, last.sequence_number);
  await nothing.end;
  expect(nothing.events).toEqual([]);
});

test("created as a stream in the background: who leaves cancels nothing, and comes back", async () => {
  const { data: stream, response } = await client.responses.create({ ...ask, stream: true }).withResponse();
  const jobId = response.headers.get("x-sluice-job-id")!;
  await server.context.begin(jobId);
  await vi.waitFor(() => expect(server.context.events.hasListeners(jobId)).toBe(true), within);
  say(jobId, 0, "Ray");
  let id = "";
  let last = 0;
  for await (const event of stream) {
    if (event.type === "response.created") id = event.response.id;
    last = event.sequence_number;
    if (event.type === "response.output_text.delta") break;
  }
  await vi.waitFor(() => expect(server.context.events.hasListeners(jobId)).toBe(false), within);
  expect((await server.context.store.get(jobId))!.state).toBe("in_progress");
  await server.context.end(jobId, done);
  const rest = await read(id, last);
  await rest.end;
  expect(`Ray${textOf(rest.events)}`).toBe(done.text);
});

test("one that is deleted meanwhile ends with an error", async () => {
  const { id } = await submitted();
  const reader = await read(id);
  await vi.waitFor(() => expect(reader.events).toHaveLength(1), within);
  await client.responses.delete(id);
  // Whether it is heard of as cancelled or as gone depends on which of the two is read.
  await reader.end.catch((error) => expect(error).toMatchObject({ code: "not_found" }));
  await expect(client.responses.retrieve(id, { stream: true })).rejects.toMatchObject({ status: 404 });
});

test("a service that stops ends the stream, and says that it does", async () => {
  const another = createHttpServer(server.context);
  const elsewhere = clientOf(await urlOf(another)).responses;
  const { id } = await submitted();
  const stream = await elsewhere.retrieve(id, { stream: true });
  const reading = (async () => {
    for await (const _ of stream);
  })();
  const ended = expect(reading).rejects.toMatchObject({ code: "unavailable" });
  await another.close();
  await ended;
});

test("what is no number of an event is refused", async () => {
  const { id } = await submitted();
  const bad = ["x", "-1", "1.5", "", "1e300"].map((text) => [`stream=true&starting_after=${text}`, "starting_after"]);
  for (const [query, param] of [...bad, ["starting_after=1", "starting_after"], ["stream=yes", "stream"]]) {
    const { status, body } = await server.get(`/v1/responses/${id}?${query}`);
    expect([status, body.error.param], body.error.message).toEqual([400, param]);
  }
  expect((await server.get(`/v1/responses/resp_${"0".repeat(32)}?stream=true`)).status).toBe(404);
  expect((await server.get(`/v1/responses/${id}?stream=false`)).body.object).toBe("response");
});
