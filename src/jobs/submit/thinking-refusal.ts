// Checks what Claude refuses together with thinking, which a `reasoning_effort` switches on.
import type { DeploymentSettings } from "../../config/settings.ts";
import { jsonMode } from "../../domain/answer-tool.ts";
import type { CanonicalRequest } from "../../domain/request.ts";
import { leastThinkingTokens, thinkingFor } from "../../domain/thinking.ts";
import type { FieldNames } from "./field-names.ts";

/** Returns the field and the sentence of the first reason to refuse, or undefined. */
export function refusedThinking(
  { traits }: DeploymentSettings,
  { parameters, toolChoice, responseFormat }: CanonicalRequest,
  who: string,
  names: FieldNames,
): { field: string; message: string } | undefined {
  const thinking = thinkingFor(parameters, traits.thinking);
  if (!thinking || thinking.type === "nova") return undefined;
  const effort = names.reasoningEffort;
  if (thinking.type === "enabled" && thinking.budgetTokens >= parameters.maxTokens) {
    const message = `${effort} needs a maximum of more than ${leastThinkingTokens} output tokens for ${who}; it is ${parameters.maxTokens}.`;
    return { field: effort, message };
  }
  const { temperature, topP, topK } = parameters;
  const set = {
    temperature: temperature === 1 ? undefined : temperature,
    top_p: topP === 1 ? undefined : topP,
    top_k: topK,
  };
  for (const [field, value] of Object.entries(set)) {
    if (value === undefined) continue;
    return { field, message: `${field} must not be set with ${effort}: ${who} does not accept it while it thinks.` };
  }
  if (toolChoice === "required" || typeof toolChoice === "object") {
    const message = `tool_choice must be auto or none with ${effort}: ${who} cannot be forced to call a tool while it thinks.`;
    return { field: "tool_choice", message };
  }
  if (responseFormat && jsonMode(responseFormat.type, traits) === "tool") {
    const message = `${names.format} must not be set with ${effort}: ${who} answers in JSON only through a forced tool.`;
    return { field: names.format, message };
  }
  return undefined;
}
