import fc from "fast-check";
import { expect, type TestAPI } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import type { Job } from "../../../src/domain/job.ts";
import type { NativeRequest } from "../../../src/domain/native-request.ts";
import { canonicalPart } from "../../../src/domain/request.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { nativeBody } from "../../support/native-bodies.ts";
import { makeJob, newEra } from "./support.ts";

/** Text that adapters have lost before: NUL, half a surrogate pair, the empty string, and all of Unicode. */
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.constantFrom(
    "",
    "\u0000",
    "before\u0000after",
    "\ud83d",
    "\ude00\ud83d",
    "'; DROP TABLE jobs; --",
    "$where",
    "\r\n",
  ),
);
const optional = { requiredKeys: [] as [] };

const block = fc.oneof(
  fc.record({ type: fc.constant("text" as const), text }),
  fc.record({ type: fc.constant("tool_call" as const), id: text, name: text, arguments: text }),
  fc.record(
    { type: fc.constant("tool_result" as const), callId: text, text, isError: fc.boolean() },
    { requiredKeys: ["type", "callId", "text"] },
  ),
);
const canonical = fc
  .tuple(
    fc.record({
      messages: fc.array(
        fc.record({
          role: fc.constantFrom("user" as const, "assistant" as const),
          content: fc.array(block, { maxLength: 3 }),
        }),
        { maxLength: 3 },
      ),
      parameters: fc
        .tuple(
          fc.record({ maxTokens: fc.nat() }),
          fc.record(
            { temperature: fc.double({ noNaN: true, min: 0, max: 1 }), topP: fc.constant(0.1), stop: fc.array(text) },
            optional,
          ),
        )
        .map(([a, b]) => ({ ...a, ...b })),
    }),
    fc.record({ system: text, toolChoice: fc.constant("auto" as const) }, optional),
  )
  .map(([a, b]) => ({ ...a, ...b }));
const native: fc.Arbitrary<NativeRequest> = fc.record({
  native: fc.record(
    {
      operation: fc.constantFrom("converse", "invoke"),
      streamed: fc.boolean(),
      body: nativeBody,
      headers: fc.dictionary(text, text, { maxKeys: 2 }),
    },
    { requiredKeys: ["operation", "streamed", "body"] },
  ),
  parameters: fc.record({ maxTokens: fc.nat() }),
});
const request = fc.oneof({ weight: 2, arbitrary: canonical }, native);
const trace = fc.record(
  { traceparent: fc.constant(`00-${"a".repeat(32)}-${"b".repeat(16)}-01`), tracestate: fc.constant("c=d,e=f") },
  { requiredKeys: ["traceparent"] },
);
const extras = fc.record(
  {
    regions: fc.array(text, { maxLength: 2 }),
    notBefore: fc.nat(),
    expiresAt: fc.nat(),
    retryOf: fc.uuid(),
    metadata: fc.dictionary(text, text, { maxKeys: 3 }),
    trace,
    linkedTrace: trace,
    waitingCaller: fc.record({ processId: text, returnsBy: fc.constantFrom("key" as const, "retry" as const) }),
  },
  optional,
);

/** Any job of UAT. */
const anyJob = fc
  .tuple(request, extras, fc.uuid(), text)
  .map(([request, extras, id, worker]): Job => ({ ...makeJob(), ...extras, id, model: `m${worker}`, request }));

export function insertCases(store: () => JobStore, test: TestAPI): void {
  test("a job is inserted once; what came first stays", async () => {
    const job = makeJob();
    expect(await store().insertMany([job])).toEqual(["inserted"]);
    const other = { ...job, tenant: "other", submittedAt: job.submittedAt + 1, model: "other" };
    expect(await store().insertMany([other])).toEqual(["exists"]);
    expect(await store().get(job.id)).toEqual({ job, state: "queued", attempts: [] });
  });

  test("the answers are in the order of the jobs, over environments and repeats", async () => {
    const [a, b, c] = [makeJob(), makeJob({ environment: "PROD" }), makeJob()];
    await store().insertMany([b!]);
    expect(await store().insertMany([a!, b!, a!, c!])).toEqual(["inserted", "exists", "exists", "inserted"]);
    expect(await store().insertMany([])).toEqual([]);
  });

  test("of many concurrent inserts of one id, one inserts", async () => {
    const job = makeJob();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => store().insertMany([{ ...job, tenant: `tenant-${i}` }, makeJob()])),
    );
    const winners = answers.flatMap(([answer], i) => (answer === "inserted" ? [`tenant-${i}`] : []));
    expect(winners).toHaveLength(1);
    expect((await store().get(job.id))?.job.tenant).toBe(winners[0]);
    expect(answers.every(([, other]) => other === "inserted")).toBe(true);
  });

  test("whatever a job holds comes back as it went in", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyJob, { minLength: 1, maxLength: 5 }), async (jobs) => {
        await store().insertMany(jobs);
        for (const job of jobs) expect((await store().get(job.id))?.job).toEqual(job);
        const requests = await store().getRequests(
          "UAT",
          jobs.map((j) => j.id),
        );
        for (const job of jobs) expect(requests.get(job.id)).toEqual(job.request);
      }),
      { numRuns: 50 },
    );
  });

  test("a prompt of a megabyte comes back whole", async () => {
    const text = "0123456789 äöü 日本 😀 ".repeat(40_000);
    expect(Buffer.byteLength(text)).toBeGreaterThan(1_000_000);
    const job = makeJob();
    canonicalPart(job.request).messages[0]!.content = [{ type: "text", text }];
    await store().insertMany([job]);
    expect((await store().get(job.id))?.job).toEqual(job);
  });

  test("unknown ids: nothing to get, nothing to call", async () => {
    const job = makeJob({ environment: "PROD" });
    await store().insertMany([job]);
    expect(await store().get(newJobId())).toBeUndefined();
    expect(await store().getRequests("PROD", [newJobId(), job.id])).toEqual(new Map([[job.id, job.request]]));
    expect(await store().getRequests("UAT", [job.id])).toEqual(new Map());
    expect(await store().getRequests("UAT", [])).toEqual(new Map());
  });

  test("an environment that the store does not have is refused, and nothing is written", async () => {
    const era = newEra();
    const known = makeJob({ submittedAt: era.from });
    const unknown = makeJob({ environment: "toString", submittedAt: era.from });
    await expect(store().insertMany([known, unknown])).rejects.toMatchObject({ code: "unknown_environment" });
    await expect(store().getRequests("DEV", [])).rejects.toMatchObject({ code: "unknown_environment" });
    await expect(store().list({ environment: "DEV", limit: 1 })).rejects.toMatchObject({ code: "unknown_environment" });
    expect(await store().get(known.id)).toBeUndefined();
  });
}
