// Checks whether the models that may answer a job accept its parameters. What a provider is known to refuse is refused
// at submit, with the field at fault and what the model accepts. Unknown parameters are passed. A fallback that the job
// names must accept everything too, because an answer with other parameters would look like any other. Prompt caches,
// seeds and parallel tool calls are optional and never a reason to refuse.
import {
  type ExtraParameter,
  extraParameters,
  type ModelTraits,
  type Refusable,
  serviceTiers,
} from "../../config/model-traits.ts";
import type { DeploymentSettings, Settings } from "../../config/settings.ts";
import { jsonMode } from "../../domain/answer-tool.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { JobHead } from "../../domain/job.ts";
import { outputSchemaProblem } from "../../domain/output-schema.ts";
import { type CanonicalRequest, normaliseMessages, type Parameters, type Tool } from "../../domain/request.ts";
import { draftProblem, malformedObject } from "../../domain/schema-draft.ts";
import { parsedSchema } from "../../domain/schema-text.ts";
import { wrongRootType } from "../../domain/tool-schema.ts";
import { servedBy } from "../served-by.ts";
import { type FieldNames, jobFieldNames } from "./field-names.ts";
import { refusedMedia } from "./media-refusal.ts";
import { refusedThinking } from "./thinking-refusal.ts";
import { fieldOfBrokenArguments } from "./tool-calls.ts";

type Wanted = Pick<JobHead, "model" | "fallbackModels" | "regions">;

/**
 * Returns the first reason to refuse among all deployments that may serve the job, or undefined.
 * @param names how errors name the fields. Default: as `POST /v1/jobs` does
 */
export function parameterRefusal(
  settings: Pick<Settings, "models">,
  wanted: Wanted,
  request: CanonicalRequest,
  names: FieldNames = jobFieldNames,
): SluiceError | undefined {
  const refusal = firstRefusal(settings, wanted, request, names);
  if (!refusal) return undefined;
  const { field, message } = refusal;
  const advice = refusal.isCapability ? adviceOf(settings, wanted, request, names) : "";
  return new SluiceError("invalid_request", message + advice, { field });
}

interface Refusal {
  field: string;
  message: string;
  /** Whether the model lacks something that other models have. */
  isCapability?: boolean;
}

function firstRefusal(
  settings: Pick<Settings, "models">,
  { model, fallbackModels, regions }: Wanted,
  request: CanonicalRequest,
  names: FieldNames,
): Refusal | undefined {
  for (const name of [model, ...fallbackModels]) {
    for (const deployment of servedBy(settings, { model: name, regions })) {
      const who = name === model ? `the model ${name}` : `the fallback ${name}`;
      const refusal = refusalBy(deployment, request, who, names);
      if (refusal) return refusal;
    }
  }
  return undefined;
}

/** Maximum number of models that an error recommends. */
const maxAdvised = 3;

function adviceOf(
  settings: Pick<Settings, "models">,
  { regions }: Wanted,
  request: CanonicalRequest,
  names: FieldNames,
): string {
  const able = Object.keys(settings.models).filter((model) => {
    const wanted = { model, fallbackModels: [], regions };
    return servedBy(settings, wanted).length > 0 && !firstRefusal(settings, wanted, request, names);
  });
  return able.length === 0 ? "" : ` Use a model that can: ${able.slice(0, maxAdvised).join(", ")}.`;
}

function refusalBy(
  deployment: DeploymentSettings,
  request: CanonicalRequest,
  who: string,
  names: FieldNames,
): Refusal | undefined {
  return (
    refusedText(deployment, who) ??
    refusedParameter(deployment, request.parameters, who, names) ??
    refusedValue(deployment, request.parameters, who, names) ??
    refusedThinking(deployment, request, who, names) ??
    refusedMedia(deployment, request.messages, who, names.messages) ??
    refusedEnd(deployment, request, who, names) ??
    refusedTools(deployment, request, who, names) ??
    refusedFormat(deployment, request, who, names) ??
    refusedService(deployment, request, who)
  );
}

function refusedText({ traits }: DeploymentSettings, who: string): Refusal | undefined {
  if (!traits.embeddings) return undefined;
  const message = `model must generate text: ${who} only makes embeddings, with POST /v1/embeddings.`;
  return { field: "model", message, isCapability: true };
}

const keys = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  stop: "stop",
  frequency_penalty: "frequencyPenalty",
  presence_penalty: "presencePenalty",
  reasoning_effort: "reasoningEffort",
} as const satisfies Partial<Record<Refusable, keyof Parameters>>;

const parameterNames = Object.keys(keys) as (keyof typeof keys)[];

function refusedParameter(
  deployment: DeploymentSettings,
  parameters: Parameters,
  who: string,
  names: FieldNames,
): Refusal | undefined {
  const { modelId, traits } = deployment;
  for (const name of parameterNames) {
    if (parameters[keys[name]] === undefined) continue;
    const refused = traits.refuses.includes(name);
    if (!refused && !isUnsendable(deployment, name)) continue;
    const isTaken = (other: keyof typeof keys) => !traits.refuses.includes(other) && !isUnsendable(deployment, other);
    const taken = ["max_tokens", ...parameterNames.filter(isTaken)];
    const field = name === "reasoning_effort" ? names.reasoningEffort : name;
    const why = refused
      ? `${who} does not accept it`
      : `Sluice does not know how ${who} accepts it (catalogue.${modelId}.fields in the configuration)`;
    return { field, message: `${field} must not be set: ${why}. It accepts ${taken.join(", ")}.` };
  }
  return undefined;
}

/** Returns whether it is unknown how the model accepts the parameter. */
function isUnsendable({ provider, traits }: DeploymentSettings, name: string): boolean {
  return (
    provider === "bedrock" &&
    (extraParameters as readonly string[]).includes(name) &&
    traits.fields[name as ExtraParameter] === undefined &&
    !(name === "reasoning_effort" && traits.thinking !== undefined)
  );
}

/** Returns a refusal for accepted parameters with values or combinations that the model refuses. */
function refusedValue(
  { provider, traits }: DeploymentSettings,
  { temperature, topP, topK, stop, reasoningEffort: effort }: Parameters,
  who: string,
  names: FieldNames,
): Refusal | undefined {
  if (provider === "bedrock" && temperature !== undefined && temperature > 1) {
    return { field: "temperature", message: `temperature must be between 0 and 1 for ${who}; got ${temperature}.` };
  }
  if (topK !== undefined && traits.maxTopK !== undefined && topK > traits.maxTopK) {
    return { field: "top_k", message: `top_k must be at most ${traits.maxTopK} for ${who}; got ${topK}.` };
  }
  if (effort !== undefined && traits.reasoningEfforts && !traits.reasoningEfforts.includes(effort)) {
    const field = names.reasoningEffort;
    return {
      field,
      message: `${field} must be one of ${traits.reasoningEfforts.join(", ")} for ${who}; got ${quote(effort)}.`,
    };
  }
  // A top_p of 1 excludes nothing and is not sent.
  const both = temperature !== undefined && topP !== undefined && topP !== 1;
  if (both && traits.refuses.includes("temperature_with_top_p")) {
    return { field: "top_p", message: `top_p must not be set with temperature: ${who} accepts one of them, not both.` };
  }
  const blank = traits.refuses.includes("blank_stop") ? (stop ?? []).findIndex((text) => text.trim() === "") : -1;
  if (blank >= 0) {
    const field = `stop[${blank}]`;
    const got = quote(stop![blank]!);
    return { field, message: `${field} must contain a non-whitespace character for ${who}; got ${got}.` };
  }
  return undefined;
}

function refusedEnd(
  { traits }: DeploymentSettings,
  { messages }: CanonicalRequest,
  who: string,
  names: FieldNames,
): Refusal | undefined {
  if (traits.prefill !== "refused" || normaliseMessages(messages).at(-1)?.role !== "assistant") return undefined;
  const message = `${names.messages} must end with a user message: ${who} does not continue an assistant message.`;
  return { field: names.messages, message, isCapability: true };
}

function refusedTools(
  { provider, traits }: DeploymentSettings,
  { messages, tools, toolChoice }: CanonicalRequest,
  who: string,
  names: FieldNames,
): Refusal | undefined {
  if (!tools?.length) {
    const used = messages.some(({ content }) => content.some(({ type }) => type === "tool_call"));
    return provider === "bedrock" && used
      ? { field: "tools", message: `tools must define the tools that the conversation calls: ${who} requires that.` }
      : undefined;
  }
  if (traits.tools === false) {
    return { field: "tools", message: `tools must not be set: ${who} does not support tools.`, isCapability: true };
  }
  const broken = provider === "bedrock" ? fieldOfBrokenArguments(messages) : undefined;
  if (broken !== undefined) {
    return { field: broken, message: `${broken} must be the text of a JSON object: ${who} accepts nothing else.` };
  }
  const forced = toolChoice === "required" || typeof toolChoice === "object";
  if (forced && traits.refuses.includes("forced_tool_choice")) {
    return {
      field: "tool_choice",
      message: `tool_choice must be auto or none: ${who} cannot be forced to call a tool.`,
      isCapability: true,
    };
  }
  return provider === "bedrock" ? refusedSchema(traits, tools, who, names) : undefined;
}

function refusedSchema(
  traits: ModelTraits,
  tools: readonly Tool[],
  who: string,
  names: FieldNames,
): Refusal | undefined {
  for (const [i, { inputSchema }] of tools.entries()) {
    const schema = parsedSchema(inputSchema);
    const field = names.toolSchema(i);
    const refusal = refusedRoot(schema, who, field) ?? refusedDraft(traits, schema, who, field);
    if (refusal) return refusal;
  }
  return undefined;
}

/** Returns a refusal for an invalid schema, as far as the model is known to check it. */
function refusedDraft({ schemaDraft }: ModelTraits, schema: unknown, who: string, field: string): Refusal | undefined {
  const problem = malformedObject(schema) ?? (schemaDraft === undefined ? undefined : draftProblem(schema));
  if (!problem) return undefined;
  const at = `${field}${problem.path}`;
  return { field: at, message: `${at} is refused by ${who}: it ${problem.message}` };
}

function refusedFormat(
  { provider, traits }: DeploymentSettings,
  { system, responseFormat }: CanonicalRequest,
  who: string,
  names: FieldNames,
): Refusal | undefined {
  if (system !== undefined && traits.systemPrompts === false) {
    return {
      field: names.system,
      message: `${names.system} must not be set: ${who} does not accept system text. Put it into the first message.`,
      isCapability: true,
    };
  }
  if (responseFormat === undefined) return undefined;
  const { type } = responseFormat;
  const mode = jsonMode(type, traits);
  if (mode === "none") {
    const taken = (["json_schema", "json_object"] as const).filter((other) => jsonMode(other, traits) !== "none");
    const message =
      taken.length > 0
        ? `${names.format} must be of type ${taken.join(" or ")} for ${who}; got ${type}.`
        : `${names.format} must not be set: ${who} answers in free text only.`;
    return { field: names.format, isCapability: true, message };
  }
  if (type === "json_object") return undefined;
  const schema = parsedSchema(responseFormat.schema);
  const field = names.outputSchema;
  if (provider !== "bedrock") return mode === "tool" ? refusedRoot(schema, who, field) : undefined;
  const refusal = mode === "tool" ? refusedRoot(schema, who, field) : refusedOutputSchema(schema, who, names);
  return refusal ?? refusedDraft(traits, schema, who, field);
}

/** Returns a refusal for the schema of a tool, or of an answer that a tool returns. */
function refusedRoot(schema: unknown, who: string, field: string): Refusal | undefined {
  const type = wrongRootType(schema);
  if (type === undefined) return undefined;
  return { field, message: `${field} must be a schema of the type object for ${who}; got the type ${type}.` };
}

function refusedOutputSchema(schema: unknown, who: string, names: FieldNames): Refusal | undefined {
  const problem = outputSchemaProblem(schema);
  if (!problem) return undefined;
  const field = `${names.outputSchema}${problem.path}`;
  return { field, message: `${field} is refused by ${who}: it ${problem.message}`, isCapability: true };
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
    return { field: "guardrail", message: `guardrail must not be set: ${who} does not support guardrails.` };
  }
  return undefined;
}
