// Answers in JSON from models that have no mode for them: the model is made to call a tool whose input is the answer.
import type { CanonicalRequest, ResponseFormat, Tool } from "./request.ts";

/** What decides how a model gives an answer in JSON. What is absent is not known, and is taken to be possible. */
export interface JsonTraits {
  jsonSchema?: boolean;
  jsonObject?: boolean;
  tools?: boolean;
  /** `forced_tool_choice` if it cannot be made to call a tool. */
  refuses?: readonly string[];
}

/** How a model gives an answer of this form: in a mode of its own, by a forced tool, or not at all. */
export function jsonMode(type: ResponseFormat["type"], traits: JsonTraits): "own" | "tool" | "none" {
  const has = type === "json_schema" ? traits.jsonSchema : traits.jsonObject;
  if (has !== false) return "own";
  return traits.tools === false || traits.refuses?.includes("forced_tool_choice") ? "none" : "tool";
}

const what = "Gives the answer to the user. The input of this tool is the answer.";
const anyObject = `${what} It is a JSON object with the keys that the conversation asks for.`;
const maxNameLength = 64;

/**
 * The request with the tool in place of the form, if the model needs it. Where the caller has tools as well, the model
 * must call one of all; where the caller insists on a tool, there is no answer to give a form to.
 * @returns also the name of the tool that carries the answer
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

/** The name of the schema, so that the model reads it, and of no other tool. */
function nameFor(format: ResponseFormat, tools: readonly Tool[]): string {
  let name = format.type === "json_object" ? "json_answer" : format.name;
  while (tools.some((tool) => tool.name === name)) name = `_${name}`.slice(0, maxNameLength);
  return name;
}
