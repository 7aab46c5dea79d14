// 10,000 valid answers of both providers, streamed and not, each changed at random in up to four places. Whatever comes, the
// job ends after a bounded number of calls, no slot stays taken, and every endpoint and model goes on.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import * as bedrock from "../providers/fake-bedrock.ts";
import * as openai from "../providers/fake-openai.ts";
import { testSeed as seed } from "../support/seed.ts";
import {
  contextTokens,
  type Json,
  type Model,
  maxTokens,
  models,
  startTwoProviders,
  type TwoProviders,
} from "../support/two-providers.ts";

const answers = 10_000;
/** Jobs that wait for their end at a time. */
const atOnce = 40;
/** Refusals that do not tell whose fault they are are tried again until other jobs decide. */
const mostAttempts = 12;

let service: TwoProviders;
beforeAll(async () => {
  service = await startTwoProviders(1_000_000_000_000, {
    worker: { concurrency: 40, backoffBaseMs: 1, backoffMaxMs: 1 },
  });
  console.log(`TEST_SEED=${seed}`);
}, 60_000);
afterAll(() => service?.close());

// ---------------------------------------------------------------- answers

const usage = {
  prompt_tokens: 7,
  completion_tokens: 3,
  total_tokens: 10,
  prompt_tokens_details: { cached_tokens: 2 },
  completion_tokens_details: { reasoning_tokens: 1 },
};
const call = { index: 0, id: "c1", type: "function", function: { name: "f", arguments: '{"a": [1, {"b": 2.0}]}' } };
const message = { role: "assistant", content: "Hello", tool_calls: [call] };

/** Valid answers; a stream is a list of events. */
const valid: Record<Model, Json[]> = {
  open: [
    [
      openai.chunk({ role: "assistant", content: "" }),
      openai.text("Hel"),
      openai.text("lo"),
      openai.stop(),
      { choices: [], usage },
    ],
    [openai.chunk({ tool_calls: [call] }), openai.stop("tool_calls"), { choices: [], usage, service_tier: "default" }],
    [openai.chunk({ refusal: "No." }), openai.stop()],
  ],
  whole: [
    { id: "x", service_tier: "flex", choices: [{ index: 0, message, finish_reason: "tool_calls" }], usage },
    { id: "x", choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "length" }], usage },
  ],
  converse: [
    {
      output: {
        message: {
          role: "assistant",
          content: [{ text: "Hi" }, { toolUse: { toolUseId: "t", name: "f", input: { a: [1] } } }],
        },
      },
      stopReason: "tool_use",
      usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10, cacheReadInputTokens: 2, cacheWriteInputTokens: 1 },
      metrics: { latencyMs: 5 },
      serviceTier: { type: "default" },
    },
  ],
  stream: [
    [
      ["messageStart", { role: "assistant" }],
      ["contentBlockDelta", { contentBlockIndex: 0, delta: { text: "Hi" } }],
      ["contentBlockStart", { contentBlockIndex: 1, start: { toolUse: { toolUseId: "t", name: "f" } } }],
      ["contentBlockDelta", { contentBlockIndex: 1, delta: { toolUse: { input: '{"a": 1}' } } }],
      ["contentBlockStop", { contentBlockIndex: 1 }],
      ["messageStop", { stopReason: "tool_use" }],
      ["metadata", { usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10 }, metrics: { latencyMs: 5 } }],
    ],
  ],
};

// ---------------------------------------------------------------- changes

/** Numbers that JSON can say and JavaScript cannot print. They and deep lists are marks in texts until they are printed. */
const literals = ["1e400", "-1e400", "9007199254740993", "1.5", "-0.0", "1E-400"];
const odd = fc.oneof(
  fc.constantFrom<unknown>(null, true, "", "x", -1, 0.5, 5.5, 1e9, 2 ** 53, 1e308, [], {}, [[]], { a: 1 }),
  fc.constantFrom<unknown>(
    "\ud800",
    "a\0b",
    "\u2028\u0085",
    "__proto__",
    "constructor",
    "toString",
    "x".repeat(100_000),
  ),
  fc.constantFrom(...literals).map((literal) => `#${literal}#`),
  fc.constantFrom(10, 200, 5_000, 20_000).map((levels) => `@${levels}@`),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.double(),
);
type Change = { at: number; how: "replace" | "remove" | "repeat" | "add"; value: unknown; times: number };
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(1_000),
  how: fc.constantFrom("replace", "replace", "replace", "remove", "repeat", "add"),
  value: odd,
  times: fc.constantFrom(2, 50, 2_000),
});
const rarely = <T>(times: number, arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(null), weight: times }, { arbitrary, weight: 1 });
const mutation = fc.record({
  model: fc.constantFrom(...models),
  form: fc.nat(10),
  changes: fc.array(change, { maxLength: 4 }),
  /** Where the bytes are cut, as a share; most are not. */
  cut: rarely(10, fc.double({ min: 0, max: 1, noNaN: true })),
  noise: rarely(
    15,
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.uint8Array({ minLength: 1, maxLength: 8 })),
  ),
});
type Mutation = typeof mutation extends fc.Arbitrary<infer M> ? M : never;

/** The places in a value: what holds each, and under which key. */
function placesIn(value: Json, found: { holder: Json; key: string | number }[] = []): typeof found {
  if (typeof value !== "object" || value === null || found.length > 500) return found;
  for (const key of Object.keys(value)) {
    found.push({ holder: value, key });
    placesIn(value[key], found);
  }
  return found;
}

function mutated(answer: Json, changes: Mutation["changes"]): Json {
  const copy = structuredClone(answer);
  for (const { at, how, value, times } of changes) {
    const places = placesIn(copy);
    if (places.length === 0) break;
    const { holder, key } = places[at % places.length]!;
    if (how === "replace") holder[key] = structuredClone(value);
    else if (how === "add") holder[`k${at}`] = structuredClone(value);
    else if (Array.isArray(holder)) {
      const item = holder[Number(key)];
      if (how === "remove") holder.splice(Number(key), 1);
      else if (printed(item).length * times < 1_000_000) holder.push(...Array(times).fill(item));
    } else if (how === "remove") delete holder[key];
  }
  return copy;
}

function printed(value: unknown): string {
  return (JSON.stringify(value) ?? "null")
    .replace(/"#([-+.\deE]+)#"/g, "$1")
    .replace(/"@(\d+)@"/g, (_, levels) => `${"[".repeat(Number(levels))}${"]".repeat(Number(levels))}`);
}

function bytesOf({ model, form, changes, cut, noise }: Mutation): Buffer {
  const of = valid[model];
  const answer = mutated(of[form % of.length], changes);
  const events = (Array.isArray(answer) ? answer : [answer]) as Json[];
  let bytes: Buffer;
  if (model === "open") bytes = Buffer.from([...events.map(printed), "[DONE]"].map(openai.event).join(""));
  else if (model === "stream") bytes = Buffer.concat(events.map(frameOf));
  else bytes = Buffer.from(printed(answer));
  if (noise) {
    const at = Math.floor(bytes.length * noise[0]);
    bytes = Buffer.concat([bytes.subarray(0, at), noise[1], bytes.subarray(at)]);
  }
  return cut === null ? bytes : bytes.subarray(0, Math.floor(bytes.length * cut));
}

function frameOf(event: Json): Buffer {
  const [type, payload] = Array.isArray(event) ? event : ["contentBlockDelta", event];
  const name = typeof type === "string" ? type.replace(/[^ -~]/g, "").slice(0, 100) : "odd";
  return bedrock.frame(
    { ":message-type": "event", ":event-type": name, ":content-type": "application/json" },
    printed(payload),
  );
}

const types: Record<Model, string> = {
  open: "text/event-stream",
  whole: "application/json",
  converse: "application/json",
  stream: "application/vnd.amazon.eventstream",
};

// ---------------------------------------------------------------- the proof

test("10,000 changed answers end their jobs, free their slots, and leave sums that are right", async () => {
  const { openAi, aws, call: ask } = service;
  const cases = fc.sample(mutation, { numRuns: answers, seed });
  const bodies = cases.map(bytesOf);
  const respond =
    (prompt: string): openai.Handler =>
    (res) => {
      const at = Number(/\d+/.exec(prompt)?.[0]);
      res.writeHead(200, { "content-type": types[cases[at]!.model] }).end(bodies[at]);
    };
  openAi.respond((res) => {
    const [{ content }] = openAi.requests.pop()!.body.messages as Json;
    respond(content)(res);
  });
  aws.respond((res) => {
    const [{ content }] = (aws.requests.pop()!.body as Json).messages;
    respond(content[0].text)(res);
  });

  /** How the jobs end: by the code of the error. */
  const ends = new Map<string, number>();
  const sums = { attempts: 0, input: 0, output: 0 };
  const most = contextTokens + maxTokens;
  let next = 0;
  const runSome = async () => {
    for (let at = next++; at < answers; at = next++) {
      const about = `case ${at} of seed ${seed}: ${JSON.stringify(cases[at]).slice(0, 500)}`;
      const tools = [{ name: "f", input_schema: { type: "object" } }];
      const asked = { prompt: `case ${at}`, environment: "UAT", model: cases[at]!.model, tools };
      const { status, body } = await ask("/v1/jobs", asked);
      expect(status, about).toBe(200);
      let job: Json;
      for (let waits = 0; waits < 10 && !["completed", "failed"].includes(job?.status); waits++) {
        const answer = await ask(`/v1/jobs/${body.job_id}?wait=30`);
        expect(answer.status, about).toBe(200);
        job = answer.body;
      }
      expect(["completed", "failed"], `${about} ${JSON.stringify(job).slice(0, 500)}`).toContain(job.status);
      expect(job.attempts.length, about).toBeLessThanOrEqual(mostAttempts);
      for (const { usage } of job.attempts) {
        sums.attempts += 1;
        for (const tokens of Object.values(usage ?? {}) as (number | null)[]) {
          if (tokens !== null) expect(Number.isInteger(tokens) && tokens >= 0 && tokens <= most, about).toBe(true);
        }
        sums.input += usage?.input_tokens ?? 0;
        sums.output += usage?.output_tokens ?? 0;
      }
      const end = job.error?.code ?? "completed";
      ends.set(end, (ends.get(end) ?? 0) + 1);
      // A good answer shows in which dialect it comes out; none of them may fail.
      if (at % 50 === 0 && job.status === "completed") expect((await ask(`/status/${body.job_id}`)).status).toBe(200);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, runSome));

  // The changes reach all that they are meant to reach.
  console.log(Object.fromEntries(ends));
  for (const end of ["completed", "tries_exhausted", "answer_too_large"]) expect(ends.has(end), end).toBe(true);
  expect(ends.get("completed")).toBeGreaterThan(answers / 4);
  const day = new Date().toISOString().slice(0, 10);
  const { body: used } = await ask(`/v1/usage?from=${day}&to=${day}`);
  expect(used.total ?? used.data[0]).toMatchObject({
    attempts: sums.attempts,
    input_tokens: sums.input,
    output_tokens: sums.output,
  });
  await vi.waitFor(async () => {
    const { deployments } = (await ask("/v1/deployments")).body;
    for (const { running } of deployments) expect(running).toBe(0);
  });
  for (const model of models) await service.expectAlive(model);
}, 900_000);
