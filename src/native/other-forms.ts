// Reads InvokeModel's answers of the smaller families. Each format is recognized by its keys, in a whole answer and in a
// chunk of a stream alike.
import { scanJson } from "../domain/json-scan.ts";
import { isObject, type Json, objectOf, objectsOf, type PartialAnswer } from "./partial-answer.ts";

/** Reads an answer or a chunk if it has the format. Returns whether it does. */
type Form = (json: Json, answer: PartialAnswer, body: string) => boolean;

/** Meta's Llama. */
const readLlama: Form = (json, answer) => {
  if (!("generation" in json)) return false;
  answer.addText(json.generation);
  answer.stop(json.stop_reason);
  answer.count({ input: json.prompt_token_count, output: json.generation_token_count });
  return true;
};

/** Amazon's Titan: text, and embeddings. */
const readTitan: Form = (json, answer) => {
  const isEmbedding = Array.isArray(json.embedding) || isObject(json.embeddingsByType);
  const [result] = objectsOf(json.results);
  if (!isEmbedding && !("outputText" in json || (result && "outputText" in result))) return false;
  answer.count({ input: json.inputTextTokenCount, output: json.totalOutputTextTokenCount });
  if (isEmbedding) return endEmbedding(answer);
  const { outputText, completionReason, tokenCount } = result ?? json;
  answer.addText(outputText);
  answer.count({ output: tokenCount });
  answer.stop(completionReason);
  return true;
};

/** Cohere's Command R and Command, and its embeddings. */
const readCohere: Form = (json, answer, body) => {
  if ("embeddings" in json) return endEmbedding(answer);
  const [generation] = objectsOf(json.generations);
  const isCohere = generation || "generation_id" in json || "event_type" in json || "is_finished" in json;
  if (!isCohere) return false;
  const { text, finish_reason: reason } = generation ?? json;
  answer.addText(text);
  answer.stop(reason);
  const calls = objectsOf(json.tool_calls);
  // Cohere gives its calls no ids, and repeats those of a stream in its last event.
  const spans = calls.length > 0 ? scanJson(body, ["tool_calls.*.parameters"]) : [];
  for (const [i, { name, parameters }] of calls.entries()) {
    if (answer.hasTool(i)) continue;
    answer.addTool(i, `call_${i}`, name);
    answer.addArguments(i, spans.find(({ path }) => path[1] === i)?.text ?? JSON.stringify(parameters ?? {}));
  }
  return true;
};

/** Mistral's completions. */
const readMistral: Form = (json, answer) => {
  const [output] = objectsOf(json.outputs);
  if (!output) return false;
  answer.addText(output.text);
  answer.stop(output.stop_reason);
  return true;
};

/** OpenAI's format, in which gpt-oss, Qwen, Mistral's chats, Jamba and many others answer, and DeepSeek's completions. */
const readChoices: Form = (json, answer) => {
  if (!Array.isArray(json.choices)) return false;
  const [choice = {}] = objectsOf(json.choices);
  const { content, reasoning, reasoning_content, tool_calls } = objectOf(choice.message ?? choice.delta);
  answer.addText(choice.text ?? content);
  for (const part of objectsOf(content)) answer.addText(part.text);
  answer.addReasoning(reasoning ?? reasoning_content);
  for (const [i, call] of objectsOf(tool_calls).entries()) {
    const key = call.index ?? i;
    const { name, arguments: text } = objectOf(call.function);
    if (!answer.hasTool(key)) answer.addTool(key, call.id, name);
    answer.addArguments(key, text);
  }
  answer.stop(choice.finish_reason ?? choice.stop_reason);
  countChoices(json.usage, answer);
  return true;
};

/** OpenAI's count of the prompt includes cached tokens; Sluice's does not. */
function countChoices(usage: unknown, answer: PartialAnswer): void {
  const { prompt_tokens: prompt, completion_tokens: output, ...details } = objectOf(usage);
  if (typeof prompt !== "number") return;
  const { cached_tokens: cached } = objectOf(details.prompt_tokens_details);
  const isCached = typeof cached === "number" && cached > 0 && cached <= prompt;
  answer.count({
    input: isCached ? prompt - cached : prompt,
    output,
    ...(isCached && { cacheRead: cached }),
    reasoning: objectOf(details.completion_tokens_details).reasoning_tokens,
  });
}

function endEmbedding(answer: PartialAnswer): true {
  answer.count({ output: 0 });
  answer.stop("end_turn");
  return true;
}

/** Formats, in the order in which Sluice tries them. */
export const otherForms: readonly Form[] = [readLlama, readTitan, readChoices, readMistral, readCohere];
