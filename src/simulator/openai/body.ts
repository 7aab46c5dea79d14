// Reads the body of a chat completion and refuses what OpenAI refuses, in its words. Accepts what the simulator does
// not use (seeds, penalties).
import type { ModelCall } from "../bodies.ts";
import { documentTokens, imageTokens } from "../content-blocks.ts";
import { isObject, type Json, parseObject } from "../json.ts";
import type { CalledModel } from "../simulated-models.ts";
import { countTokens } from "../text.ts";
import { readForm } from "./form.ts";
import { invalid, OpenAiError } from "./openai-error-bodies.ts";

export interface ChatCall extends ModelCall {
  streaming: boolean;
  /** Whether a stream ends with its usage. */
  streamUsage: boolean;
}

/** Returns the body as an object that names a model. @throws OpenAiError with OpenAI's refusal */
export function parseBody(text: string): Json & { model: string } {
  const body = parseObject(text);
  if (body === undefined) {
    throw new OpenAiError(400, "We could not parse the JSON body of your request.");
  }
  if (typeof body.model !== "string" || body.model === "")
    throw new OpenAiError(400, "you must provide a model parameter");
  return body as Json & { model: string };
}

/** Reads the body. @throws OpenAiError with OpenAI's refusal */
export function readChat(body: Json, model: CalledModel): ChatCall {
  const { texts, prompt } = readMessages(body.messages);
  const form = readForm(body, prompt);
  number(body, "temperature", 0, 2);
  number(body, "top_p", 0, 1);
  number(body, "frequency_penalty", -2, 2);
  number(body, "presence_penalty", -2, 2);
  number(body, "n", 1, 1);
  const streaming = body.stream === true;
  if (body.stream_options !== undefined && body.stream_options !== null && !streaming) {
    throw invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options");
  }
  if (Array.isArray(body.tools)) texts.push(JSON.stringify(body.tools));
  const maxTokens = readMaxTokens(body, model);
  const input = texts.join("\n");
  const inputTokens = countTokens(input) + mediaTokensOf(body.messages);
  if (inputTokens + maxTokens > model.contextTokens) {
    throw new OpenAiError(
      400,
      `This model's maximum context length is ${model.contextTokens} tokens. However, you requested ${inputTokens + maxTokens} tokens ` +
        `(${inputTokens} in the messages, ${maxTokens} in the completion). Please reduce the length of the messages or completion.`,
      { param: "messages", code: "context_length_exceeded" },
    );
  }
  return {
    prompt,
    input,
    inputTokens,
    maxTokens,
    stopSequences: readStop(body.stop),
    streaming,
    streamUsage: isObject(body.stream_options) && body.stream_options.include_usage === true,
    ...(form && { form }),
    ...(isGiven(body.reasoning_effort) && body.reasoning_effort !== "none" && { thinking: "plain" }),
  };
}

function readMaxTokens(body: Json, model: CalledModel): number {
  const param = isGiven(body.max_completion_tokens) ? "max_completion_tokens" : "max_tokens";
  const value = body[param];
  if (!isGiven(value)) return model.maxOutputTokens;
  if (!Number.isInteger(value)) throw invalid(`Invalid type for '${param}': expected an integer.`, param);
  if ((value as number) < 1) {
    throw invalid(
      `Invalid '${param}': integer below minimum value. Expected a value >= 1, but got ${value} instead.`,
      param,
    );
  }
  if ((value as number) > model.maxOutputTokens) {
    throw invalid(
      `${param} is too large: ${value}. This model supports at most ${model.maxOutputTokens} completion tokens, whereas you provided ${value}.`,
      param,
    );
  }
  return value as number;
}

const roles = ["system", "developer", "user", "assistant", "tool", "function"];

function readMessages(messages: unknown): { texts: string[]; prompt: string } {
  if (!Array.isArray(messages)) throw invalid("Missing required parameter: 'messages'.", "messages");
  if (messages.length === 0) {
    throw invalid(
      "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      "messages",
    );
  }
  const texts: string[] = [];
  let prompt = "";
  for (const [i, message] of messages.entries()) {
    const path = `messages[${i}]`;
    if (!isObject(message)) throw invalid(`Invalid type for '${path}': expected an object.`, path);
    const { role, content, tool_calls: calls } = message;
    if (typeof role !== "string" || !roles.includes(role)) {
      throw invalid(
        `Invalid value: '${String(role)}'. Supported values are: ${roles.map((r) => `'${r}'`).join(", ")}.`,
        `${path}.role`,
      );
    }
    if (role === "tool" && typeof message.tool_call_id !== "string") {
      throw invalid(`Missing required parameter: '${path}.tool_call_id'.`, `${path}.tool_call_id`);
    }
    const own = readContent(content, role === "assistant" && Array.isArray(calls), `${path}.content`);
    texts.push(...own);
    if (Array.isArray(calls)) texts.push(JSON.stringify(calls));
    if (role === "user") prompt = own.join("\n");
  }
  return { texts, prompt };
}

/** Counts the images and files of all messages. */
function mediaTokensOf(messages: unknown): number {
  const contents = (Array.isArray(messages) ? messages.filter(isObject) : []).map(({ content }) => content);
  const parts = contents.flatMap((content) => (Array.isArray(content) ? content.filter(isObject) : []));
  return parts.reduce((sum, { image_url: image, file }) => {
    if (isObject(image)) return sum + imageTokens(bytesOf(image.url));
    return isObject(file)
      ? sum + documentTokens(/\.(\w+)$/.exec(String(file.filename))?.[1] ?? "pdf", bytesOf(file.file_data))
      : sum;
  }, 0);
}

function bytesOf(dataUrl: unknown): Buffer {
  return Buffer.from(typeof dataUrl === "string" ? dataUrl.slice(dataUrl.indexOf(",") + 1) : "", "base64");
}

/** Returns the texts of a message. Images and files have none. */
function readContent(content: unknown, optional: boolean, path: string): string[] {
  if (typeof content === "string") return [content];
  if (!isGiven(content) && optional) return [];
  if (!Array.isArray(content)) {
    throw invalid(
      `Invalid value for '${path}': expected a string, got ${content === undefined ? "nothing" : JSON.stringify(content)}.`,
      path,
    );
  }
  return content.flatMap((part) => (isObject(part) && typeof part.text === "string" ? [part.text] : []));
}

function readStop(stop: unknown): string[] {
  if (!isGiven(stop)) return [];
  const list = typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(list) || !list.every((s) => typeof s === "string") || list.length > 4) {
    throw invalid("Invalid 'stop': expected a string or an array of up to 4 strings.", "stop");
  }
  return list.filter((s) => s !== "");
}

function number(body: Json, param: string, min: number, max: number): void {
  const value = body[param];
  if (!isGiven(value)) return;
  if (typeof value !== "number") throw invalid(`Invalid type for '${param}': expected a decimal.`, param);
  if (value < min) {
    throw invalid(
      `Invalid '${param}': decimal below minimum value. Expected a value >= ${min}, but got ${value} instead.`,
      param,
    );
  }
  if (value > max) {
    throw invalid(
      `Invalid '${param}': decimal above maximum value. Expected a value <= ${max}, but got ${value} instead.`,
      param,
    );
  }
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
