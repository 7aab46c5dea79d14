// Reads stored requests and outcomes in the form of this version. The first version stored the arguments of a tool call
// parsed, as `input`. This version stores their text, as `arguments`.
import type { Outcome, ToolCall } from "../domain/job.ts";
import { type ContentBlock, isNative, type JobRequest } from "../domain/request.ts";

type StoredCall = { input?: unknown; arguments?: string };

/** Parses the JSON of a stored request. */
export function requestFromJson(json: string): JobRequest {
  const request = JSON.parse(json) as JobRequest;
  if (isNative(request)) return request;
  for (const message of request.messages) {
    const { content } = message;
    for (let i = 0; i < content.length; i++) {
      const block = content[i]!;
      if (block.type === "tool_call" && isOfFirstVersion(block)) content[i] = withText(block) as ContentBlock;
    }
  }
  return request;
}

/** Converts a stored outcome, with its tool calls, to the form of this version. */
export function outcomeFromRecord(stored: Outcome): Outcome {
  return stored.toolCalls?.some(isOfFirstVersion)
    ? { ...stored, toolCalls: stored.toolCalls.map((call) => withText(call) as ToolCall) }
    : stored;
}

function isOfFirstVersion(call: StoredCall): boolean {
  return call.arguments === undefined;
}

function withText<T extends StoredCall>({ input, ...call }: T) {
  return { ...call, arguments: call.arguments ?? JSON.stringify(input ?? {}) };
}
