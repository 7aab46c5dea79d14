// Reads answers of Converse and ConverseStream. Amazon Nova's own format has the same objects.
import { scanJson } from "../domain/json-scan.ts";
import { isObject, type Json, objectOf, objectsOf, type PartialAnswer } from "./partial-answer.ts";

/** Types of the events that are part of an answer. */
export const converseEvents: ReadonlySet<string> = new Set([
  ...["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"],
]);

/** Reads an answer that was not streamed. @param body JSON that `json` was parsed from */
export function readConverse(json: Json, body: string, answer: PartialAnswer): void {
  const blocks = objectOf(objectOf(json.output).message).content;
  const list: unknown[] = Array.isArray(blocks) ? blocks : [];
  const hasTools = list.some((block) => isObject(block) && isObject(block.toolUse));
  // Only the body has the arguments as the model wrote them.
  const spans = hasTools ? scanJson(body, ["output.message.content.*.toolUse.input"]) : [];
  const inputs = new Map(spans.map(({ path, text }) => [path[3], text]));
  for (const [i, block] of list.entries()) {
    const { text, toolUse, reasoningContent } = objectOf(block);
    answer.addText(text);
    answer.addReasoning(objectOf(objectOf(reasoningContent).reasoningText).text);
    if (!isObject(toolUse)) continue;
    answer.addTool(i, toolUse.toolUseId, toolUse.name);
    answer.addArguments(i, inputs.get(i) ?? JSON.stringify(toolUse.input ?? {}));
  }
  answer.stop(json.stopReason ?? "end_turn");
  readMetadata(json, answer);
}

/** Reads an event of a stream. */
export function readConverseEvent(type: string, json: Json, answer: PartialAnswer): void {
  switch (type) {
    case "contentBlockStart": {
      const { toolUse } = objectOf(json.start);
      if (isObject(toolUse)) answer.addTool(json.contentBlockIndex, toolUse.toolUseId, toolUse.name);
      break;
    }
    case "contentBlockDelta": {
      const { text, toolUse, reasoningContent } = objectOf(json.delta);
      answer.addText(text);
      answer.addArguments(json.contentBlockIndex, objectOf(toolUse).input);
      answer.addReasoning(objectOf(reasoningContent).text);
      break;
    }
    case "messageStop":
      answer.stop(json.stopReason ?? "end_turn");
      break;
    case "metadata":
      readMetadata(json, answer);
      break;
  }
}

function readMetadata({ usage, serviceTier }: Json, answer: PartialAnswer): void {
  const { inputTokens, outputTokens, cacheReadInputTokens, cacheWriteInputTokens, cacheDetails } = objectOf(usage);
  const details = objectsOf(cacheDetails);
  const ofAnHour = details.filter(({ ttl }) => ttl === "1h").map(({ inputTokens: tokens }) => tokens);
  answer.count({
    input: inputTokens,
    output: outputTokens,
    cacheRead: cacheReadInputTokens,
    cacheWrite: cacheWriteInputTokens,
    ...(details.length > 0 && { cacheWriteHour: ofAnHour.reduce<number>((sum, n) => sum + Number(n ?? 0), 0) }),
  });
  const { type } = objectOf(serviceTier);
  if (typeof type === "string") answer.serviceTier = type;
}
