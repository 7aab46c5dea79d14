// Fields that chat completions and responses share: the schemas of what both take in the same form, Sluice's own
// extensions (which a client sends as extra body fields), and the refusal of what cannot be done.
import Type, { type Static, type TSchema } from "typebox";
import type { Settings } from "../../config/settings.ts";
import { SluiceError } from "../../domain/errors.ts";
import { priorities } from "../../domain/job.ts";
import type { CanonicalRequest, Tool } from "../../domain/request.ts";
import { quote } from "../../jobs/quote.ts";
import type { SubmitInput } from "../../jobs/submit-input.ts";
import { dryRunField } from "../dry-run-resource.ts";
import { webhookUrlField } from "../webhook-resource.ts";

export function optional<S extends TSchema>(schema: S) {
  return Type.Optional(schema);
}

/** Taken and not used: it changes neither what the model is asked nor what it answers. */
export const ignored = optional(Type.Unknown({ description: "Taken for compatibility, and ignored." }));

/** Of OpenAI's parameters those that mean the same in both. The limits of the model that answers are checked later. */
export function sharedFields(settings: Settings) {
  return {
    model: optional(
      Type.String({
        description: `One of ${Object.keys(settings.models).join(", ")}; by default ${settings.defaultModel}.`,
      }),
    ),
    temperature: optional(Type.Number({ minimum: 0, maximum: 2 })),
    top_p: optional(Type.Number({ minimum: 0, maximum: 1 })),
    stream: optional(Type.Boolean({ description: "Whether the answer comes as server-sent events." })),
    store: optional(
      Type.Boolean({ description: "false: neither prompt nor answer stay on record after the answer was given." }),
    ),
    metadata: optional(
      Type.Unsafe<Record<string, string>>({
        type: "object",
        additionalProperties: { type: "string", maxLength: 512 },
        maxProperties: 16,
        propertyNames: { minLength: 1, maxLength: 64 },
        description: "Labels of your own; they come back with the job.",
      }),
    ),
    service_tier: optional(
      Type.Enum(["auto", "default", "flex", "priority"], { description: "auto leaves the tier to the provider." }),
    ),
    parallel_tool_calls: optional(Type.Boolean({ description: "false cannot be had beside tools." })),
    user: ignored,
    safety_identifier: ignored,
    prompt_cache_key: ignored,
    prompt_cache_retention: ignored,
    prompt_cache_options: ignored,
  };
}

/** Sluice's own fields. */
export function extensionFields(settings: Settings) {
  return {
    environment: optional(
      Type.String({
        description: `${Object.keys(settings.environments).join(" or ")}; the header x-sluice-environment does the same.`,
      }),
    ),
    priority: optional(Type.Enum([...priorities], { description: "By default interactive." })),
    regions: optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        minItems: 1,
        maxItems: 64,
        description: "Only deployments in these regions may answer.",
      }),
    ),
    fallback_models: optional(
      Type.Array(Type.String(), {
        maxItems: 8,
        description: "Used, in this order, when no deployment of the model is in service; `model` says who answered.",
      }),
    ),
    expires_in: optional(
      Type.Integer({
        minimum: 1,
        maximum: settings.limits.maxExpiresInS,
        description: "Seconds within which the answer must be there.",
      }),
    ),
    on_unknown: optional(
      Type.Enum(["retry", "fail"], {
        description: "What to do when a call was lost and may have been billed. By default retry.",
      }),
    ),
    top_k: optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    webhook_url: optional(webhookUrlField("job")),
    ...dryRunField,
  };
}

type SharedBody = Static<
  Type.TObject<ReturnType<typeof sharedFields> & Omit<ReturnType<typeof extensionFields>, "environment" | "priority">>
>;

/** What the fields above ask for; all but the environment and the priority, whose defaults differ. */
export function sharedInput(body: SharedBody) {
  const { service_tier: tier, expires_in: expiresInS } = body;
  return {
    model: body.model,
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k,
    serviceTier: tier === "auto" ? undefined : tier,
    regions: body.regions,
    fallbackModels: body.fallback_models,
    onUnknown: body.on_unknown,
    expiresInMs: expiresInS === undefined ? undefined : expiresInS * 1000,
    metadata: body.metadata,
    ephemeral: body.store === false,
    webhookUrl: body.webhook_url,
  } satisfies Partial<SubmitInput>;
}

/**
 * The body without the fields that are null, which OpenAI takes for absent: its own, and those of the objects in the
 * lists that hold the conversation.
 */
export function withoutNulls(body: unknown): unknown {
  if (!isObject(body)) return body;
  const result = dropNulls(body);
  for (const key of ["messages", "input"]) {
    const list = result[key];
    if (Array.isArray(list)) result[key] = list.map((item) => (isObject(item) ? dropNulls(item) : item));
  }
  return result;
}

function dropNulls(object: Record<string, unknown>): Record<string, unknown> {
  // Hardly ever are there any, and a batch has a million bodies.
  for (const key in object) {
    if (object[key] === null) return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
  }
  return { ...object };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function refuse(field: string, message: string): never {
  throw new SluiceError("invalid_request", message, { field });
}

/** @throws SluiceError `invalid_request` unless the value is a text */
export function requireText(value: unknown, field: string): string {
  return typeof value === "string" ? value : refuse(field, `${field} must be a string.`);
}

/** OpenAI's own rule for the names of functions and schemas; Bedrock's is the same. */
const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

function requireName(value: unknown, field: string): string {
  if (typeof value === "string" && namePattern.test(value)) return value;
  return refuse(field, `${field} must be a name of 1 to 64 letters, digits, underscores and hyphens.`);
}

/** A function as both describe it, once the wrapping is off. */
export function toolOf(value: unknown, field: string): Tool {
  if (!isObject(value)) return refuse(field, `${field} must be an object that describes a function.`);
  const { description = null, parameters = null } = value;
  const tool: Tool = {
    name: requireName(value.name, `${field}.name`),
    inputSchema: parameters ?? { type: "object", properties: {} },
  };
  if (!isObject(tool.inputSchema)) refuse(`${field}.parameters`, `${field}.parameters must be a JSON schema.`);
  if (description !== null) tool.description = requireText(description, `${field}.description`);
  return tool;
}

/** @throws SluiceError `invalid_request` for two tools of one name, and a choice that cannot be made */
export function checkTools(tools: readonly Tool[], choice: CanonicalRequest["toolChoice"], parallel = true): void {
  if (tools.length === 0) {
    if (choice === "required" || typeof choice === "object") refuse("tool_choice", "tool_choice needs tools.");
    return;
  }
  const names = new Set<string>();
  for (const { name } of tools) {
    if (names.has(name)) refuse("tools", `tools has two functions named ${quote(name)}.`);
    names.add(name);
  }
  if (typeof choice === "object" && !names.has(choice.name)) {
    refuse("tool_choice", `tool_choice names ${quote(choice.name)}, which is not among tools.`);
  }
  if (!parallel) refuse("parallel_tool_calls", "parallel_tool_calls must be true: models may ask for several calls.");
}

/** The arguments of a call that the model made before, as it wrote them. */
export function argumentsOf(value: unknown, field: string): Record<string, unknown> {
  const text = requireText(value, field);
  try {
    const input: unknown = text.trim() === "" ? {} : JSON.parse(text);
    if (isObject(input)) return input;
  } catch {
    // Refused below like every other text.
  }
  return refuse(field, `${field} must be the text of a JSON object.`);
}

/** A format by schema, as both describe it once the wrapping is off. */
export function schemaFormatOf(value: unknown, field: string): CanonicalRequest["responseFormat"] {
  if (!isObject(value)) return refuse(field, `${field} must be an object with name and schema.`);
  const { description = null, schema, strict = null } = value;
  if (!isObject(schema)) return refuse(`${field}.schema`, `${field}.schema must be a JSON schema.`);
  if (strict !== null && typeof strict !== "boolean") {
    return refuse(`${field}.strict`, `${field}.strict must be true or false.`);
  }
  return {
    type: "json_schema",
    name: requireName(value.name, `${field}.name`),
    schema,
    ...(description !== null && { description: requireText(description, `${field}.description`) }),
    ...(strict !== null && { strict }),
  };
}
