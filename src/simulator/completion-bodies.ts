// InvokeModel's bodies with one prompt: Llama's, and DeepSeek R1's completions.
import { finish, type ModelCall, strings } from "./bodies.ts";
import {
  missingKeys,
  numberProblems,
  parseNative,
  refuseProblems,
  textProblems,
  unknownKeys,
} from "./native-fields.ts";
import type { CalledModel } from "./simulated-models.ts";

/** Value of an absent `max_gen_len`. */
const llamaDefaultTokens = 512;

/** Reads the body of a Llama model. @throws BedrockError with Bedrock's refusal */
export function readLlama(body: string, model: CalledModel): ModelCall {
  const request = parseNative(body);
  const { prompt, max_gen_len: given, temperature, top_p: topP } = request;
  refuseProblems([
    ...unknownKeys(request, ["prompt", "max_gen_len", "temperature", "top_p"]),
    ...missingKeys(request, ["prompt"]),
    ...textProblems("prompt", prompt),
    ...numberProblems("max_gen_len", given, "Integer", 1, model.maxOutputTokens),
    ...numberProblems("temperature", temperature, "Number", 0, 1),
    ...numberProblems("top_p", topP, "Number", 0, 1),
  ]);
  const maxTokens = (given as number | undefined) ?? Math.min(llamaDefaultTokens, model.maxOutputTokens);
  const text = prompt as string;
  return {
    ...finish([text], lastUserText(text), maxTokens, [], model),
    ...(given === undefined && { reservedTokens: model.maxOutputTokens }),
  };
}

/** Reads the body of DeepSeek R1. @throws BedrockError with Bedrock's refusal */
export function readDeepSeek(body: string, model: CalledModel): ModelCall {
  const request = parseNative(body);
  const { prompt, max_tokens: given, temperature, top_p: topP } = request;
  refuseProblems([
    ...unknownKeys(request, ["prompt", "max_tokens", "temperature", "top_p", "stop"]),
    ...missingKeys(request, ["prompt"]),
    ...textProblems("prompt", prompt),
    ...numberProblems("max_tokens", given, "Integer", 1, model.maxOutputTokens),
    ...numberProblems("temperature", temperature, "Number", 0, 1),
    ...numberProblems("top_p", topP, "Number", 0, 1),
  ]);
  const text = prompt as string;
  return finish([text], text, (given as number | undefined) ?? model.maxOutputTokens, strings(request.stop), model);
}

/** Extracts the user's last message from Llama's template. Returns the whole prompt if it has no template. */
function lastUserText(prompt: string): string {
  const header = "<|start_header_id|>user<|end_header_id|>";
  const start = prompt.lastIndexOf(header);
  if (start < 0) return prompt;
  const end = prompt.indexOf("<|eot_id|>", start);
  return prompt.slice(start + header.length, end < 0 ? undefined : end).trim();
}
