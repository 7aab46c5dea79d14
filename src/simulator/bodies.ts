// Reads the bodies of the text operations and refuses what Bedrock refuses, in Bedrock's words. Accepts what the
// simulator does not use (images, guardrails, temperatures within their range).
import { BedrockError, invalid } from "./aws-errors.ts";
import { isObject, type Json, malformed, parseObject, violated } from "./json.ts";
import { checkConverse, contentsOf } from "./refusals.ts";
import { readOutputSchema } from "./requested-schema.ts";
import type { CalledModel } from "./simulated-models.ts";
import { type AnswerForm, countTokens } from "./text.ts";
import { chooseTool, type SimulatedTool, type ToolSituation } from "./tool-choice.ts";

/** What an operation needs to know about a body. */
export interface ModelCall {
  /** The user's last message. */
  prompt: string;
  /** All text of the request: system, messages, tools. */
  input: string;
  inputTokens: number;
  maxTokens: number;
  stopSequences: string[];
  /** Requested service tier. The simulator has capacity in every tier. */
  serviceTier?: string;
  /** Form of the answer in place of free text. */
  form?: AnswerForm;
}

/** Reads the body of Converse. @throws BedrockError with Bedrock's refusal */
export function readConverse(body: string, model: CalledModel, streaming: boolean): ModelCall {
  const request = parse(
    body,
    () => new BedrockError("SerializationException", "Unexpected token in the request body."),
  );
  const conversation = readMessages(request.messages);
  const config = isObject(request.inferenceConfig) ? request.inferenceConfig : {};
  checkRange("inferenceConfig.temperature", config.temperature, 0, 1);
  checkRange("inferenceConfig.topP", config.topP, 0, 1);
  checkRange("inferenceConfig.maxTokens", config.maxTokens, 1, Number.POSITIVE_INFINITY);
  const maxTokens = config.maxTokens === undefined ? model.maxOutputTokens : Number(config.maxTokens);
  if (maxTokens > model.maxOutputTokens) throw tooManyOutputTokens(model.maxOutputTokens);
  checkConverse(request, model, streaming);
  const schema = readOutputSchema(request.outputConfig, model.rules);
  const texts = [...readSystem(request.system), ...conversation.texts];
  if (isObject(request.toolConfig)) texts.push(JSON.stringify(request.toolConfig));
  const read = finish(texts, conversation.prompt, maxTokens, strings(config.stopSequences), model);
  const tier = isObject(request.serviceTier) ? request.serviceTier.type : undefined;
  const tool = chooseTool(toolSituation(request, conversation.prompt));
  return {
    ...read,
    ...(typeof tier === "string" && { serviceTier: tier }),
    ...((tool || schema !== undefined) && { form: { tool, schema, conversation: conversationText(request) } }),
  };
}

/** Returns all text of the conversation, without tools. */
function conversationText({ system, messages }: Json): string {
  const said = contentsOf(messages).flatMap((blocks) =>
    blocks.flatMap(({ text }) => (typeof text === "string" ? [text] : [])),
  );
  return [...readSystem(system), ...said].join("\n");
}

function toolSituation({ toolConfig, messages }: Json, prompt: string): ToolSituation {
  const { tools, toolChoice } = isObject(toolConfig) ? toolConfig : ({} as Json);
  const choice = isObject(toolChoice) ? toolChoice : {};
  const named = isObject(choice.tool) ? { name: String(choice.tool.name) } : undefined;
  return {
    tools: (Array.isArray(tools) ? tools : []).flatMap(({ toolSpec }: Json): SimulatedTool[] =>
      isObject(toolSpec) && isObject(toolSpec.inputSchema)
        ? [{ name: String(toolSpec.name), schema: toolSpec.inputSchema.json }]
        : [],
    ),
    choice: named ?? ("any" in choice ? "any" : "auto"),
    prompt,
    called: calledTools(messages),
  };
}

/** Returns the tools called since the user's last message that contains more than tool results. */
function calledTools(messages: unknown): string[] {
  const contents = contentsOf(messages);
  const asked = contents.findLastIndex((blocks, i) => i % 2 === 0 && blocks.some((block) => "text" in block));
  return contents
    .slice(asked + 1)
    .flatMap((blocks) => blocks.flatMap(({ toolUse }) => (isObject(toolUse) ? [String(toolUse.name)] : [])));
}

const llamaKeys = ["prompt", "max_gen_len", "temperature", "top_p"];
/** Value of an absent `max_gen_len`. */
const llamaDefaultTokens = 512;

/** Reads the native body of a Llama model. @throws BedrockError with Bedrock's refusal */
export function readLlama(body: string, model: CalledModel): ModelCall {
  if (!model.llama) {
    throw invalid("The simulator reads InvokeModel bodies of Llama models only. Call this model with Converse.");
  }
  const request = parse(body, () => malformed(["expected a JSON object"]));
  const problems = Object.keys(request)
    .filter((key) => !llamaKeys.includes(key))
    .map((key) => `#: extraneous key [${key}] is not permitted`);
  const { prompt, max_gen_len: maxTokens = Math.min(llamaDefaultTokens, model.maxOutputTokens) } = request;
  if (prompt === undefined) problems.push("#: required key [prompt] not found");
  else if (typeof prompt !== "string") problems.push(`#/prompt: expected type: String, found: ${typeName(prompt)}`);
  else if (prompt === "") problems.push("#/prompt: expected minLength: 1, actual: 0");
  problems.push(
    ...numberProblems("max_gen_len", maxTokens, "Integer", 1, model.maxOutputTokens),
    ...numberProblems("temperature", request.temperature ?? 0, "Number", 0, 1),
    ...numberProblems("top_p", request.top_p ?? 0, "Number", 0, 1),
  );
  if (problems.length > 0) throw malformed(problems);
  return finish([prompt as string], lastUserText(prompt as string), maxTokens as number, [], model);
}

function finish(
  texts: string[],
  prompt: string,
  maxTokens: number,
  stopSequences: string[],
  model: CalledModel,
): ModelCall {
  const input = texts.join("\n");
  const inputTokens = countTokens(input);
  if (inputTokens + maxTokens > model.contextTokens) throw invalid("Input is too long for requested model.");
  return { prompt, input, inputTokens, maxTokens, stopSequences };
}

function readMessages(messages: unknown): { texts: string[]; prompt: string } {
  const start = invalid(
    "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
  );
  if (!Array.isArray(messages) || messages.length === 0) throw start;
  const texts: string[] = [];
  let prompt = "";
  let previous: unknown;
  for (const [i, message] of messages.entries()) {
    const { role, content } = isObject(message) ? message : ({} as Json);
    if (role !== "user" && role !== "assistant") {
      throw violated(`messages.${i + 1}.member.role`, role, "Member must satisfy enum value set: [user, assistant]");
    }
    if (i === 0 && role !== "user") throw start;
    if (role === previous) {
      throw invalid(
        "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
      );
    }
    previous = role;
    if (!Array.isArray(content) || content.length === 0) {
      throw invalid(
        `The content field in the Message object at messages.${i} is empty. Add a ContentBlock object to the content field and try again.`,
      );
    }
    const own = content.flatMap((block, j) => readBlock(block, `messages.${i}.content.${j}`));
    texts.push(...own);
    if (role === "user") prompt = own.join("\n");
  }
  return { texts, prompt };
}

/** Returns the texts of one content block. Blocks without text (images, documents) count nothing. */
function readBlock(block: unknown, path: string): string[] {
  if (!isObject(block)) throw new BedrockError("SerializationException", `${path} is not an object.`);
  if ("text" in block) return [readText(block.text, `ContentBlock object at ${path}`)];
  if (isObject(block.toolUse)) return [JSON.stringify(block.toolUse)];
  if (isObject(block.toolResult)) {
    const content = Array.isArray(block.toolResult.content) ? block.toolResult.content : [];
    return content.map((part) => (isObject(part) && typeof part.text === "string" ? part.text : JSON.stringify(part)));
  }
  return [];
}

function readSystem(system: unknown): string[] {
  if (!Array.isArray(system)) return [];
  return system.flatMap((block, i) =>
    isObject(block) && "text" in block ? [readText(block.text, `SystemContentBlock object at system.${i}`)] : [],
  );
}

function readText(text: unknown, where: string): string {
  if (typeof text !== "string")
    throw new BedrockError("SerializationException", `The text field in the ${where} is not a string.`);
  if (text.trim() === "") {
    throw invalid(`The text field in the ${where} is blank. Add text to the text field, and try again.`);
  }
  return text;
}

/** Extracts the user's last message from Llama's template. Returns the whole prompt if it has no template. */
function lastUserText(prompt: string): string {
  const header = "<|start_header_id|>user<|end_header_id|>";
  const start = prompt.lastIndexOf(header);
  if (start < 0) return prompt;
  const end = prompt.indexOf("<|eot_id|>", start);
  return prompt.slice(start + header.length, end < 0 ? undefined : end).trim();
}

function checkRange(path: string, value: unknown, min: number, max: number): void {
  if (value === undefined) return;
  if (typeof value !== "number") throw new BedrockError("SerializationException", `${path} is not a number.`);
  if (value < min) throw violated(path, value, `Member must have value greater than or equal to ${min}`);
  if (value > max) throw violated(path, value, `Member must have value less than or equal to ${max}`);
}

function numberProblems(key: string, value: unknown, type: "Integer" | "Number", min: number, max: number): string[] {
  if (typeof value !== "number" || (type === "Integer" && !Number.isInteger(value))) {
    return [`#/${key}: expected type: ${type}, found: ${typeName(value)}`];
  }
  if (value < min) return [`#/${key}: ${value} is not greater or equal to ${min}`];
  if (value > max) return [`#/${key}: ${value} is not less or equal to ${max}`];
  return [];
}

function tooManyOutputTokens(limit: number): BedrockError {
  return invalid(
    `The maximum tokens you requested exceeds the model limit of ${limit}. Try again with a maximum tokens value that is lower than ${limit}.`,
  );
}

function parse(body: string, error: () => BedrockError): Json {
  const parsed = parseObject(body);
  if (parsed === undefined) throw error();
  return parsed;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((v): v is string => typeof v === "string" && v !== "") : [];
}

function typeName(value: unknown): string {
  if (value === null) return "Null";
  if (Array.isArray(value)) return "JSONArray";
  if (typeof value === "object") return "JSONObject";
  if (typeof value === "number") return Number.isInteger(value) ? "Integer" : "BigDecimal";
  return typeof value === "string" ? "String" : "Boolean";
}
