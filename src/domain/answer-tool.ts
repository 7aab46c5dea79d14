// Gets JSON answers from models without a JSON mode: the model must call a tool whose input is the answer.
import type { CanonicalRequest, ResponseFormat, Tool } from "./request.ts";

/** Traits that decide how a model returns JSON. An absent trait is unknown and counts as possible. */
export interface JsonTraits {
  jsonSchema?: boolean;
  jsonObject?: boolean;
  tools?: boolean;
  /** Contains `forced_tool_choice` if the model cannot be forced to call a tool. */
  refuses?: readonly string[];
}

/** Returns how a model answers in this form: in its own mode, through a forced tool, or not at all. */
export function jsonMode(type: ResponseFormat["type"], traits: JsonTraits): "own" | "tool" | "none" {
  const has = type === "json_schema" ? traits.jsonSchema : traits.jsonObject;
  if (has !== false) return "own";
  return traits.tools === false || traits.refuses?.includes("forced_tool_choice") ? "none" : "tool";
}

const what = "Gives the answer to the user. The input of this tool is the answer.";
const anyObject = `${what} It is a JSON object with the keys that the conversation asks for.`;
const maxNameLength = 64;

/**
 * Replaces the response format by a tool, if the model needs that. If the caller has tools too, the model must call one
 * of them or this one. If the caller requires a tool, the format does not apply, because no answer follows.
 * @returns the request, and the name of the tool that carries the answer
 */
export function withAnswerTool(
  request: CanonicalRequest,
  traits: JsonTraits,
): { request: CanonicalRequest; answerTool?: string } {
  const { responseFormat: format, tools = [], toolChoice, ...same } = request;
  if (format === undefined || jsonMode(format.type, traits) !== "tool") return { request };
  if (toolChoice === "required" || typeof toolChoice === "object") return { request: { ...same, tools, toolChoice } };
  const answerTool = nameFor(format, tools);
  const tool: Tool = {
    name: answerTool,
    description: format.type === "json_object" ? anyObject : [format.description, what].filter(Boolean).join("\n"),
    inputSchema: format.type === "json_object" ? { type: "object" } : format.schema,
  };
  const isOnly = tools.length === 0;
  const choice = toolChoice === "none" && !isOnly ? { name: answerTool } : "required";
  return { request: { ...same, tools: [...tools, tool], toolChoice: choice }, answerTool };
}

/** Returns the schema's name, so that the model reads it, made unique among the tools. */
function nameFor(format: ResponseFormat, tools: readonly Tool[]): string {
  let name = format.type === "json_object" ? "json_answer" : format.name;
  while (tools.some((tool) => tool.name === name)) name = `_${name}`.slice(0, maxNameLength);
  return name;
}
