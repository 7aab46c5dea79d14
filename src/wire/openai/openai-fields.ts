// Defines the fields that chat completions and responses share: OpenAI's common fields, Sluice's extensions (extra body
// fields in a client), and the refusal of unsupported values.
import Type, { type Static } from "typebox";
import type { Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { CanonicalRequest, Tool } from "../../domain/request.ts";
import type { CanonicalInput } from "../../jobs/submit/submit-input.ts";
import { environmentField, placementFields, priority, submitFields, submitFieldsInput } from "../request-fields.ts";
import { schemaOf } from "../resource-types.ts";

/** A field that is accepted but unused. It changes neither the request to the model nor the answer. */
export const ignored = Type.Optional(Type.Unknown({ description: "Accepted for compatibility and ignored." }));

/**
 * Returns OpenAI's parameters with the same meaning in both APIs. Later checks apply the limits of the answering model.
 */
export function sharedFields(settings: Settings) {
  return {
    ...submitFields(settings),
    stream: Type.Optional(
      Type.Boolean({ description: "Whether to send the answer as server-sent events. Default: false." }),
    ),
    store: Type.Optional(
      Type.Boolean({ description: "If false, Sluice erases prompt and answer after it has returned the answer." }),
    ),
    service_tier: Type.Optional(
      Type.Enum(["auto", "default", "flex", "priority"], {
        description: "The service tier. `auto` lets the provider choose.",
      }),
    ),
    parallel_tool_calls: Type.Optional(
      Type.Boolean({ description: "Sent to OpenAI-compatible servers; other models ignore it." }),
    ),
    user: ignored,
    safety_identifier: ignored,
    prompt_cache_key: ignored,
    prompt_cache_retention: ignored,
    prompt_cache_options: ignored,
  };
}

/** Returns Sluice's own fields. */
export function extensionFields(settings: Settings) {
  return {
    environment: environmentField(settings, "The header x-sluice-environment has the same effect."),
    priority: Type.Optional(priority("Default: interactive.")),
    ...placementFields,
  };
}

type SharedBody = Static<
  Type.TObject<ReturnType<typeof sharedFields> & Omit<ReturnType<typeof extensionFields>, "environment" | "priority">>
>;

/** Converts the fields above to submit input, except environment and priority, whose defaults differ. */
export function sharedInput(body: SharedBody) {
  const { service_tier: tier } = body;
  return {
    serviceTier: tier === "auto" ? undefined : tier,
    parallelToolCalls: body.parallel_tool_calls,
    ephemeral: body.store === false,
    // The spread comes last, as in chat-request.ts.
    ...submitFieldsInput(body),
  } satisfies Partial<CanonicalInput>;
}

/** Returns an object without its null fields, and any other value unchanged. */
export function withoutNulls(value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function refuse(field: string, message: string): never {
  throw new SluiceError("invalid_request", message, { field });
}

/**
 * Returns the value if it is a string.
 * @throws SluiceError `invalid_request` otherwise
 */
export function requireText(value: unknown, field: string): string {
  return typeof value === "string" ? value : refuse(field, `${field} must be a string.`);
}

/** OpenAI's rule for the names of functions and schemas. Bedrock's rule is the same. */
const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

function requireName(value: unknown, field: string): string {
  if (typeof value === "string" && namePattern.test(value)) return value;
  return refuse(field, `${field} must be a name of 1 to 64 letters, digits, underscores and hyphens.`);
}

/** Converts an unwrapped function definition, which has the same form in both APIs. */
export function toolOf(value: unknown, field: string): Tool {
  if (!isObject(value)) return refuse(field, `${field} must be an object that describes a function.`);
  const { description = null, parameters = null } = value;
  const name = requireName(value.name, `${field}.name`);
  const schema = parameters ?? { type: "object", properties: {} };
  if (!isObject(schema)) return refuse(`${field}.parameters`, `${field}.parameters must be a JSON schema.`);
  const tool: Tool = { name, inputSchema: schemaOf(schema) };
  if (description !== null) tool.description = requireText(description, `${field}.description`);
  return tool;
}

/**
 * Checks the names of tools and the tool choice.
 * @returns the choice that applies: none without tools
 * @throws SluiceError `invalid_request` for two tools with one name, and for a choice that the tools do not allow
 */
export function checkedChoice(
  choice: CanonicalRequest["toolChoice"],
  tools: readonly Tool[],
): CanonicalRequest["toolChoice"] {
  if (tools.length === 0) {
    if (choice === "required" || typeof choice === "object") refuse("tool_choice", "tool_choice requires tools.");
    return undefined;
  }
  const names = new Set<string>();
  for (const { name } of tools) {
    if (names.has(name)) refuse("tools", `tools has two functions named ${quote(name)}.`);
    names.add(name);
  }
  if (typeof choice === "object" && !names.has(choice.name)) {
    refuse("tool_choice", `tool_choice names ${quote(choice.name)}, which is not among tools.`);
  }
  return choice;
}

/** Converts an unwrapped schema format, which has the same form in both APIs. */
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
    schema: schemaOf(schema),
    ...(description !== null && { description: requireText(description, `${field}.description`) }),
    ...(strict !== null && { strict }),
  };
}
