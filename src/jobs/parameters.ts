// Whether the models that may answer a job take what it asks for. What a provider is known to refuse is refused at the
// door, with the field at fault and what the model does take; what is not known is let through.
//
// A fallback that the job names must take everything too: an answer that was made with other parameters than those that
// were asked for would look like any other. Prompt caches are hints and never a reason to refuse.
import type { ExtraParameter, Refusable } from "../config/model-traits.ts";
import { extraParameters, serviceTiers } from "../config/model-traits.ts";
import type { DeploymentSettings, Settings } from "../config/settings.ts";
import { SluiceError } from "../domain/errors.ts";
import type { JobHead } from "../domain/job.ts";
import type { CanonicalRequest, Parameters } from "../domain/request.ts";
import { servedBy } from "./served-by.ts";

/** The first reason to refuse, among all deployments that may serve the job. */
export function parameterRefusal(
  settings: Pick<Settings, "models">,
  { model, fallbackModels, regions }: Pick<JobHead, "model" | "fallbackModels" | "regions">,
  request: CanonicalRequest,
): SluiceError | undefined {
  for (const name of [model, ...fallbackModels]) {
    for (const deployment of servedBy(settings, { model: name, regions })) {
      const refusal = refusalBy(deployment, request, name === model ? `the model ${name}` : `the fallback ${name}`);
      if (refusal) return new SluiceError("invalid_request", refusal.message, { field: refusal.field });
    }
  }
  return undefined;
}

interface Refusal {
  field: string;
  message: string;
}

function refusalBy(deployment: DeploymentSettings, request: CanonicalRequest, who: string): Refusal | undefined {
  return (
    refusedParameter(deployment, request.parameters, who) ??
    refusedTools(deployment, request, who) ??
    refusedFormat(deployment, request, who) ??
    refusedService(deployment, request, who)
  );
}

const keys = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  stop: "stop",
  seed: "seed",
  frequency_penalty: "frequencyPenalty",
  presence_penalty: "presencePenalty",
  reasoning_effort: "reasoningEffort",
} as const satisfies Record<Exclude<Refusable, "forced_tool_choice">, keyof Parameters>;

const names = Object.keys(keys) as (keyof typeof keys)[];

function refusedParameter(deployment: DeploymentSettings, parameters: Parameters, who: string): Refusal | undefined {
  const { provider, modelId, traits } = deployment;
  for (const field of names) {
    if (parameters[keys[field]] === undefined) continue;
    const refused = traits.refuses.includes(field);
    if (!refused && !isUnsendable(deployment, field)) continue;
    const isTaken = (name: keyof typeof keys) => !traits.refuses.includes(name) && !isUnsendable(deployment, name);
    const taken = ["max_tokens", ...names.filter(isTaken)];
    const why = refused
      ? `${who} does not take it`
      : `it is not known how ${who} takes it (catalogue.${modelId}.fields in the configuration)`;
    return { field, message: `${field} must not be set: ${why}. It takes ${taken.join(", ")}.` };
  }
  const { temperature } = parameters;
  if (provider === "bedrock" && temperature !== undefined && temperature > 1) {
    return { field: "temperature", message: `temperature must be between 0 and 1 for ${who}; got ${temperature}.` };
  }
  return undefined;
}

/** Whether it is not known how the model takes it. */
function isUnsendable({ provider, traits }: DeploymentSettings, name: string): boolean {
  return (
    provider === "bedrock" &&
    (extraParameters as readonly string[]).includes(name) &&
    traits.fields[name as ExtraParameter] === undefined
  );
}

function refusedTools(
  { provider, traits }: DeploymentSettings,
  { messages, tools, toolChoice }: CanonicalRequest,
  who: string,
): Refusal | undefined {
  if (!tools?.length) {
    const used = messages.some(({ content }) => content.some(({ type }) => type === "tool_call"));
    return provider === "bedrock" && used
      ? { field: "tools", message: `tools must name the tools of the conversation's tool calls for ${who}.` }
      : undefined;
  }
  if (traits.tools === false) return { field: "tools", message: `tools must not be set: ${who} takes none.` };
  const forced = toolChoice === "required" || typeof toolChoice === "object";
  if (forced && traits.refuses.includes("forced_tool_choice")) {
    return {
      field: "tool_choice",
      message: `tool_choice must be auto or none: ${who} cannot be made to call a tool.`,
    };
  }
  return undefined;
}

function refusedFormat(
  { traits }: DeploymentSettings,
  { system, responseFormat }: CanonicalRequest,
  who: string,
): Refusal | undefined {
  if (system !== undefined && traits.systemPrompts === false) {
    return {
      field: "system",
      message: `system must not be set: ${who} takes no system text. Put it into the first message.`,
    };
  }
  const takes = { json_schema: traits.jsonSchema !== false, json_object: traits.jsonObject !== false };
  if (responseFormat === undefined || takes[responseFormat.type]) return undefined;
  const taken = Object.entries(takes).flatMap(([type, is]) => (is ? [type] : []));
  return {
    field: "response_format",
    message:
      taken.length > 0
        ? `response_format must be of type ${taken.join(" or ")} for ${who}; got ${responseFormat.type}.`
        : `response_format must not be set: ${who} answers in free text only.`,
  };
}

function refusedService(
  { traits }: DeploymentSettings,
  { serviceTier, guardrail }: CanonicalRequest,
  who: string,
): Refusal | undefined {
  const tiers = traits.serviceTiers ?? serviceTiers;
  if (serviceTier !== undefined && !tiers.includes(serviceTier)) {
    return {
      field: "service_tier",
      message: `service_tier must be ${tiers.join(" or ")} for ${who}; got ${serviceTier}.`,
    };
  }
  if (guardrail !== undefined && traits.guardrails === false) {
    return { field: "guardrail", message: `guardrail must not be set: there are none for ${who}.` };
  }
  return undefined;
}
