// What the first version wrote: the arguments of tool calls parsed, as `input`. Adapters keep requests and outcomes as the
// JSON that they are given, so writing that form through the port leaves in the store what the first version left.
import { expect, type TestAPI } from "vitest";
import { lineJobId, newBatchId } from "../../../src/domain/batch.ts";
import type { Outcome, ToolCall } from "../../../src/domain/job.ts";
import type { ContentBlock } from "../../../src/domain/request.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { beginning, makeJob, mustBegin } from "./support.ts";

const call = (id: string, input: unknown) => ({ id, name: "look_up", input });
const inputs = [{ key: [1, null] }, {}, null, "text", [2]];
const texts = ['{"key":[1,null]}', "{}", "{}", '"text"', "[2]"];

export function firstVersionCases(store: () => JobStore, test: TestAPI): void {
  test("jobs, outcomes and lines of the first version are read with their arguments as text", async () => {
    const oldCalls = inputs.map((input, i) => call(`c${i}`, input));
    const calls: ToolCall[] = texts.map((text, i) => ({ id: `c${i}`, name: "look_up", arguments: text }));
    const asked = { role: "user" as const, content: [{ type: "text" as const, text: "Why?" }] };
    const withCalls = (blocks: object[]) => ({
      messages: [asked, { role: "assistant" as const, content: blocks as ContentBlock[] }],
      parameters: { maxTokens: 100 },
    });
    const batchId = newBatchId();
    const [id, next] = [lineJobId(batchId, 1), lineJobId(batchId, 2)];
    const old = makeJob({ id, batchId, request: withCalls(oldCalls.map((c) => ({ type: "tool_call", ...c }))) });
    const now = { ...old, request: withCalls(calls.map((c) => ({ type: "tool_call", ...c }))) };
    await store().insertMany([old]);
    expect((await store().get(old.id))?.job).toEqual(now);
    expect((await store().getRequests("UAT", [old.id])).get(old.id)).toEqual(now.request);

    await mustBegin(store(), beginning(old));
    const outcome: Outcome = { jobId: old.id, status: "completed", at: 9, text: "", finishReason: "tool_calls" };
    const end = { result: "completed" as const, at: 9 };
    await store().finish("UAT", { ...outcome, toolCalls: oldCalls as unknown as ToolCall[] }, { n: 1, end });
    const record = await store().get(old.id);
    expect(record?.outcome).toEqual({ ...outcome, toolCalls: calls });
    expect(record?.job).toEqual(now);
    const range = { environment: "UAT", submittedAt: old.submittedAt, from: id, to: next, limit: 9 };
    expect((await store().lines({ ...range, answers: true })).map((line) => line.outcome?.toolCalls)).toEqual([calls]);
  });
}
