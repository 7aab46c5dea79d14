// What Converse refuses about parameters, tools and cache points, in the words of Bedrock or of the model's maker.
import { draftProblem, malformedObject } from "../domain/schema-draft.ts";
import { BedrockError, byModel, invalid, unsupported } from "./aws-errors.ts";
import { checkContentBlocks } from "./content-blocks.ts";
import { isObject, type Json, malformed, violated } from "./json.ts";
import type { ModelRules } from "./model-rules.ts";
import { notOfDraft } from "./requested-schema.ts";
import type { CalledModel } from "./simulated-models.ts";

/** Checks a request. @throws BedrockError with Bedrock's refusal */
export function checkConverse(request: Json, model: CalledModel, streaming: boolean): void {
  checkParameters(request, model);
  checkTools(request, model, streaming);
  checkToolBlocks(request);
  checkContentBlocks(blocksOf(request.messages), model);
  checkThinking(request, model);
  checkEnd(request, model);
  checkCachePoints(request, model);
}

const converseNames = { temperature: "temperature", topP: "top_p" } as const;
/** Bedrock's own maximum number of stop texts. */
const maxStopSequences = 2_500;

function checkParameters(request: Json, { rules }: CalledModel): void {
  const config = isObject(request.inferenceConfig) ? request.inferenceConfig : {};
  const stops = Array.isArray(config.stopSequences) ? config.stopSequences : [];
  const path = "inferenceConfig.stopSequences";
  if (stops.length > maxStopSequences) {
    throw violated(path, stops.length, `Member must have length less than or equal to ${maxStopSequences}`);
  }
  for (const [i, stop] of stops.entries()) {
    if (stop === "") {
      throw violated(`${path}.${i + 1}.member`, "", "Member must have length greater than or equal to 1");
    }
    if (!rules.blankStops && typeof stop === "string" && stop.trim() === "") {
      throw byModel("stop_sequences: each stop sequence must contain non-whitespace");
    }
  }
  if (stops.length > 0 && rules.refuses.includes("stopSequences")) throw unsupported("stopSequences");
  for (const name of ["temperature", "topP"] as const) {
    if (config[name] !== undefined && rules.refuses.includes(name)) {
      throw byModel(`\`${converseNames[name]}\` is deprecated for this model.`);
    }
  }
  if (!rules.temperatureWithTopP && config.temperature !== undefined && config.topP !== undefined) {
    throw byModel("`temperature` and `top_p` cannot both be specified for this model. Please use only one.");
  }
  const more = isObject(request.additionalModelRequestFields) ? request.additionalModelRequestFields : {};
  const topK = isObject(more.inferenceConfig) ? more.inferenceConfig.topK : more.top_k;
  if (typeof topK === "number" && topK > rules.maxTopK) {
    throw malformed([`#/inferenceConfig/topK: ${topK} is not less or equal to ${rules.maxTopK}`]);
  }
}

/** Checks what Claude refuses together with thinking. */
function checkThinking(request: Json, model: CalledModel): void {
  const thinking = thinkingOf(request, model);
  if (!thinking) return;
  const { inferenceConfig: config = {}, toolConfig = {} } = request as { inferenceConfig?: Json; toolConfig?: Json };
  const budget = thinking.budget_tokens;
  if (typeof budget === "number" && budget < 1_024) {
    throw byModel("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024");
  }
  if (typeof budget === "number" && budget >= Number(config.maxTokens ?? model.maxOutputTokens)) {
    throw byModel("`max_tokens` must be greater than `thinking.budget_tokens`.");
  }
  if (config.temperature !== undefined && config.temperature !== 1) {
    throw byModel("`temperature` may only be set to 1 when thinking is enabled.");
  }
  const choice = isObject(toolConfig.toolChoice) ? toolConfig.toolChoice : {};
  if ("any" in choice || "tool" in choice)
    throw byModel("Thinking may not be enabled when tool_choice forces tool use.");
}

/** Returns Claude's request to think, if there is one. */
export function thinkingOf(request: Json, { rules }: CalledModel): Json | undefined {
  const more = isObject(request.additionalModelRequestFields) ? request.additionalModelRequestFields : {};
  const { thinking } = more;
  if (!rules.thinks || !isObject(thinking)) return undefined;
  return thinking.type === "enabled" || thinking.type === "adaptive" ? thinking : undefined;
}

const toolName = /^[a-zA-Z0-9_-]+$/;
const maxNameLength = 64;

function checkTools(request: Json, model: CalledModel, streaming: boolean): void {
  const { toolConfig } = request;
  if (toolConfig === undefined) return;
  if (!model.rules.tools) throw invalid("This model doesn't support tool use.");
  if (streaming && !model.streamingTools) throw invalid("This model doesn't support tool use in streaming mode.");
  const { tools, toolChoice } = isObject(toolConfig) ? toolConfig : ({} as Json);
  if (!Array.isArray(tools) || tools.length === 0) {
    throw violated("toolConfig.tools", "[]", "Member must have length greater than or equal to 1");
  }
  const names = tools.flatMap((tool, i) => (isObject(tool) ? checkTool(tool, i, model) : []));
  if (new Set(names).size < names.length) throw byModel("tools: Tool names must be unique.");
  if (!isObject(toolChoice)) return;
  for (const forced of ["any", "tool"]) {
    if (forced in toolChoice && !model.rules.forcedToolChoice) throw unsupported(`toolConfig.toolChoice.${forced}`);
  }
  const chosen = isObject(toolChoice.tool) ? toolChoice.tool.name : undefined;
  if (chosen !== undefined && !names.includes(chosen as string)) {
    throw byModel(`tool_choice: Tool '${String(chosen)}' not found in provided tools`);
  }
}

/** Checks a tool and returns its name in a list, or an empty list if it has none. */
function checkTool({ toolSpec }: Json, i: number, { rules }: CalledModel): string[] {
  if (!isObject(toolSpec)) return [];
  const { name, description, inputSchema } = toolSpec;
  const path = `toolConfig.tools.${i + 1}.member.toolSpec`;
  if (typeof name !== "string" || !toolName.test(name)) {
    throw violated(`${path}.name`, name, "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+");
  }
  if (name.length > maxNameLength) {
    throw violated(`${path}.name`, name, `Member must have length less than or equal to ${maxNameLength}`);
  }
  if (description === "") {
    throw violated(`${path}.description`, "", "Member must have length greater than or equal to 1");
  }
  const schema = isObject(inputSchema) ? inputSchema.json : undefined;
  const at = `toolConfig.tools.${i}.toolSpec.inputSchema.json`;
  if (!isObject(schema)) {
    throw invalid(`The format of the value at ${at} is invalid. Provide a json object for the field and try again.`);
  }
  if (schema.type !== "object") throw invalid(`The value at ${at}.type must be one of the following: object.`);
  checkToolSchema(schema, at, i, rules);
  if (!rules.rootComposition && ["oneOf", "allOf", "anyOf"].some((keyword) => keyword in schema)) {
    throw byModel(
      `tools.${i}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level`,
    );
  }
  return [name];
}

function checkToolSchema(schema: Json, at: string, i: number, { schemaDraft }: ModelRules): void {
  if (schemaDraft && draftProblem(schema)) throw byModel(`tools.${i}.custom.input_schema: ${notOfDraft}`);
  const problem = malformedObject(schema);
  if (!problem) return;
  const wanted = problem.path.endsWith(".required") ? "list of strings" : "json object";
  throw invalid(
    `The format of the value at ${at}${problem.path} is invalid. Provide a ${wanted} for the field and try again.`,
  );
}

/** Checks that every tool use has its result in the next message, and that there are no other results. */
function checkToolBlocks({ messages, toolConfig }: Json): void {
  let asked: string[] = [];
  for (const [i, blocks] of contentsOf(messages).entries()) {
    const uses = idsOf(blocks, "toolUse");
    const results = idsOf(blocks, "toolResult");
    if ((uses.length > 0 || results.length > 0) && toolConfig === undefined) {
      throw invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.");
    }
    if (results.some((id) => !asked.includes(id)) || results.length > asked.length) {
      throw invalid(
        `The number of toolResult blocks at messages.${i}.content exceeds the number of toolUse blocks of previous turn.`,
      );
    }
    const missing = asked.filter((id) => !results.includes(id));
    if (missing.length > 0) {
      throw invalid(`Expected toolResult blocks at messages.${i}.content for the following Ids: ${missing.join(", ")}`);
    }
    asked = uses;
  }
}

function checkEnd({ messages }: Json, { rules }: CalledModel): void {
  const last = Array.isArray(messages) ? (messages.at(-1) as Json | undefined) : undefined;
  if (last?.role !== "assistant") return;
  if (rules.endRefusal !== undefined) throw invalid(rules.endRefusal);
  const text = (contentsOf(messages).at(-1) ?? []).findLast((block) => typeof block.text === "string")?.text as string;
  if (!rules.endsInWhiteSpace && text !== text?.trimEnd()) {
    throw byModel("messages: final assistant content cannot end with trailing whitespace");
  }
}

/** Maximum number of cache points that Bedrock accepts in one request. */
const maxCachePoints = 4;

function checkCachePoints({ system, messages, toolConfig }: Json, { rules }: CalledModel): void {
  const tools = isObject(toolConfig) ? blocksOf(toolConfig.tools) : [];
  const places = { tools, system: blocksOf(system), messages: contentsOf(messages).flat() };
  let count = 0;
  for (const [place, blocks] of Object.entries(places)) {
    const at = blocks.findIndex((block) => "cachePoint" in block);
    if (at < 0) continue;
    count += blocks.filter((block) => "cachePoint" in block).length;
    if (rules.cachePoints.length === 0) {
      const message =
        "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more information.";
      throw new BedrockError("AccessDeniedException", message);
    }
    if (!rules.cachePoints.includes(place as "tools")) {
      throw malformed([`#/toolConfig/tools/${at}: extraneous key [cachePoint] is not permitted`]);
    }
  }
  if (count > maxCachePoints) {
    throw byModel(`A maximum of ${maxCachePoints} blocks with cache_control may be provided. Found ${count}.`);
  }
}

/** Returns the content blocks of each message. */
export function contentsOf(messages: unknown): Json[][] {
  return blocksOf(messages).map(({ content }) => blocksOf(content));
}

function blocksOf(list: unknown): Json[] {
  return Array.isArray(list) ? list.filter(isObject) : [];
}

function idsOf(blocks: Json[], kind: "toolUse" | "toolResult"): string[] {
  return blocks.flatMap((block) => {
    const inner = block[kind];
    return isObject(inner) ? [String(inner.toolUseId)] : [];
  });
}
