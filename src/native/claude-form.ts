// Reads answers in the format of Anthropic's Messages API, and in that of its older completions.
import { scanJson } from "../domain/json-scan.ts";
import { isObject, type Json, objectOf, objectsOf, type PartialAnswer } from "./partial-answer.ts";

/** Reads a message or an event, if the JSON is one. Returns whether it is. @param body JSON that it was parsed from */
export function readClaude(json: Json, body: string, answer: PartialAnswer): boolean {
  switch (json.type) {
    case "completion":
      answer.addText(json.completion);
      answer.stop(json.stop_reason);
      return true;
    case "message":
      readMessage(json, body, answer);
      return true;
    case "message_start":
      countUsage(objectOf(json.message).usage, answer);
      return true;
    case "content_block_start": {
      const block = objectOf(json.content_block);
      answer.addText(block.text);
      if (isTool(block)) answer.addTool(json.index, block.id, block.name);
      return true;
    }
    case "content_block_delta": {
      const { text, thinking, partial_json: input } = objectOf(json.delta);
      answer.addText(text);
      answer.addReasoning(thinking);
      answer.addArguments(json.index, input);
      return true;
    }
    case "message_delta":
      answer.stop(objectOf(json.delta).stop_reason);
      countUsage(json.usage, answer);
      return true;
    case "content_block_stop":
    case "message_stop":
    case "ping":
      return true;
  }
  if (typeof json.completion !== "string" || !("stop_reason" in json)) return false;
  answer.addText(json.completion);
  answer.stop(json.stop_reason);
  return true;
}

function readMessage(json: Json, body: string, answer: PartialAnswer): void {
  const blocks = objectsOf(json.content);
  const inputs = new Map<unknown, string>();
  if (blocks.some(isTool)) {
    for (const { path, text } of scanJson(body, ["content.*.input"])) inputs.set(path[1], text);
  }
  for (const [i, block] of (Array.isArray(json.content) ? json.content : []).entries()) {
    if (!isObject(block)) continue;
    answer.addText(block.text);
    answer.addReasoning(block.thinking);
    if (!isTool(block)) continue;
    answer.addTool(i, block.id, block.name);
    answer.addArguments(i, inputs.get(i) ?? JSON.stringify(block.input ?? {}));
  }
  answer.stop(json.stop_reason ?? "end_turn");
  countUsage(json.usage, answer);
}

/** Whether a block is a call that the caller must answer. The server answers those of its own tools. */
function isTool({ type }: Json): boolean {
  return type === "tool_use";
}

function countUsage(usage: unknown, answer: PartialAnswer): void {
  const counts = objectOf(usage);
  answer.count({
    input: counts.input_tokens,
    output: counts.output_tokens,
    cacheRead: counts.cache_read_input_tokens,
    cacheWrite: counts.cache_creation_input_tokens,
    cacheWriteHour: objectOf(counts.cache_creation).ephemeral_1h_input_tokens,
  });
}
