// Reads what a chat completion asks for in place of free text: a function call, or JSON.
import { isObject, type Json } from "../json.ts";
import type { AnswerForm } from "../text.ts";
import { chooseTool, type SimulatedTool, type ToolSituation } from "../tool-choice.ts";
import { invalid } from "./openai-error-bodies.ts";

/** Returns the form of the answer, or undefined for free text. @throws OpenAiError with OpenAI's refusal */
export function readForm(body: Json, prompt: string): AnswerForm | undefined {
  const tools = readTools(body.tools);
  const choice = readChoice(body.tool_choice, tools);
  const tool = chooseTool({ tools, choice, prompt, called: calledTools(body.messages) });
  const schema = readSchema(body.response_format);
  if (!tool && schema === undefined) return undefined;
  return { ...(tool && { tool }), schema, conversation: conversationText(body.messages) };
}

const namePattern = /^[a-zA-Z0-9_-]{1,64}$/;

function readTools(tools: unknown): SimulatedTool[] {
  if (!Array.isArray(tools)) return [];
  return tools.map((tool, i) => {
    const called = isObject(tool) && isObject(tool.function) ? tool.function : {};
    const { name, parameters } = called;
    const at = `tools[${i}].function`;
    if (typeof name !== "string" || !namePattern.test(name)) {
      throw invalid(
        `Invalid '${at}.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`,
        `${at}.name`,
      );
    }
    if (isObject(parameters) && parameters.type !== undefined && parameters.type !== "object") {
      throw invalid(
        `Invalid schema for function '${name}': schema must be a JSON Schema of 'type: "object"', got 'type: ${JSON.stringify(parameters.type)}'.`,
        `${at}.parameters`,
      );
    }
    return { name, schema: parameters ?? { type: "object", properties: {} } };
  });
}

function readChoice(choice: unknown, tools: readonly SimulatedTool[]): ToolSituation["choice"] {
  if (choice === "none") return choice;
  if (choice === "required") return "any";
  const name = isObject(choice) && isObject(choice.function) ? choice.function.name : undefined;
  if (typeof name !== "string") return "auto";
  if (!tools.some((tool) => tool.name === name)) {
    throw invalid(`Tool choice '${name}' not found in 'tools' parameter.`, "tool_choice");
  }
  return { name };
}

function readSchema(format: unknown): unknown {
  if (!isObject(format)) return undefined;
  if (format.type === "json_object") return { type: "object" };
  return isObject(format.json_schema) ? format.json_schema.schema : undefined;
}

/** Returns all text of the conversation, without tools. */
function conversationText(messages: unknown): string {
  const contents = (Array.isArray(messages) ? messages.filter(isObject) : []).map(({ content }) => content);
  const parts = contents.flatMap((content) => (Array.isArray(content) ? content : [{ text: content }]));
  return parts.flatMap((part) => (isObject(part) && typeof part.text === "string" ? [part.text] : [])).join("\n");
}

/** Returns the tools called since the user's last message. */
function calledTools(messages: unknown): string[] {
  const list = Array.isArray(messages) ? messages.filter(isObject) : [];
  const asked = list.findLastIndex(({ role }) => role === "user");
  return list
    .slice(asked + 1)
    .flatMap(({ tool_calls: calls }) =>
      (Array.isArray(calls) ? calls : []).flatMap((call) =>
        isObject(call) && isObject(call.function) ? [String(call.function.name)] : [],
      ),
    );
}
