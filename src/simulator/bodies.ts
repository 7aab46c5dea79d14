// Reads the bodies of the text operations and refuses what Bedrock refuses, in Bedrock's words. Accepts what the
// simulator does not use (guardrails, temperatures within their range).
import { BedrockError, invalid } from "./aws-errors.ts";
import { mediaTokens } from "./content-blocks.ts";
import { isObject, type Json, parseObject, violated } from "./json.ts";
import { checkConverse, contentsOf, thinkingOf } from "./refusals.ts";
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
  /** Output to reserve, if the model stops sooner than the quotas assume. Default: `maxTokens`. */
  reservedTokens?: number;
  stopSequences: string[];
  /** Requested service tier. The simulator has capacity in every tier. */
  serviceTier?: string;
  /** Form of the answer in place of free text. */
  form?: AnswerForm;
  /** Set if the request asks the model to think first. `signed`: with a signature, as Claude does. */
  thinking?: "signed" | "plain";
}

/** Reads the body of Converse. @throws BedrockError with Bedrock's refusal */
export function readConverse(body: string, model: CalledModel, streaming: boolean): ModelCall {
  const request = parseObject(body);
  if (!request) throw new BedrockError("SerializationException", "Unexpected token in the request body.");
  return readConverseRequest(request, model, streaming);
}

/** Reads a request of Converse. @throws BedrockError with Bedrock's refusal */
export function readConverseRequest(request: Json, model: CalledModel, streaming: boolean): ModelCall {
  if (model.embedding) {
    const message =
      "This action doesn't support the model that you provided. Try again with a supported text or chat model.";
    throw invalid(message);
  }
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
  const media = contentsOf(request.messages)
    .flat()
    .reduce((sum, block) => sum + mediaTokens(block), 0);
  const read = finish(texts, conversation.prompt, maxTokens, strings(config.stopSequences), model, media);
  const thinking = thinkingOf(request, model) ? "signed" : hasEffort(request) ? "plain" : undefined;
  const tier = isObject(request.serviceTier) ? request.serviceTier.type : undefined;
  const tool = chooseTool(toolSituation(request, conversation.prompt));
  return {
    ...read,
    ...(typeof tier === "string" && { serviceTier: tier }),
    ...(thinking && { thinking }),
    ...((tool || schema !== undefined) && { form: { tool, schema, conversation: conversationText(request) } }),
  };
}

/** Whether a request has an effort, in one of the places where Nova and models of OpenAI expect it. */
function hasEffort({ additionalModelRequestFields: more }: Json): boolean {
  if (!isObject(more)) return false;
  if (isObject(more.reasoningConfig)) return more.reasoningConfig.type === "enabled";
  const effort = more.reasoning_effort ?? (isObject(more.reasoning) ? more.reasoning.effort : undefined);
  return typeof effort === "string" && effort !== "none";
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

/** Counts the input of a call. @throws BedrockError if input and output do not fit into the model's context */
export function finish(
  texts: string[],
  prompt: string,
  maxTokens: number,
  stopSequences: string[],
  model: CalledModel,
  mediaTokens = 0,
): ModelCall {
  const input = texts.join("\n");
  const inputTokens = countTokens(input) + mediaTokens;
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

/** Returns the texts of one content block. Images and documents have none. */
function readBlock(block: unknown, path: string): string[] {
  if (!isObject(block)) throw new BedrockError("SerializationException", `${path} is not an object.`);
  if ("text" in block) return [readText(block.text, `ContentBlock object at ${path}`)];
  if (isObject(block.toolUse)) return [JSON.stringify(block.toolUse)];
  if (isObject(block.toolResult)) {
    const content = Array.isArray(block.toolResult.content) ? block.toolResult.content : [];
    return content.map((part) => (isObject(part) && typeof part.text === "string" ? part.text : JSON.stringify(part)));
  }
  if (isObject(block.reasoningContent) && isObject(block.reasoningContent.reasoningText)) {
    return [String(block.reasoningContent.reasoningText.text)];
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

function checkRange(path: string, value: unknown, min: number, max: number): void {
  if (value === undefined) return;
  if (typeof value !== "number") throw new BedrockError("SerializationException", `${path} is not a number.`);
  if (value < min) throw violated(path, value, `Member must have value greater than or equal to ${min}`);
  if (value > max) throw violated(path, value, `Member must have value less than or equal to ${max}`);
}

function tooManyOutputTokens(limit: number): BedrockError {
  return invalid(
    `The maximum tokens you requested exceeds the model limit of ${limit}. Try again with a maximum tokens value that is lower than ${limit}.`,
  );
}

/** Returns the texts of a list that are not empty. */
export function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((v): v is string => typeof v === "string" && v !== "") : [];
}
