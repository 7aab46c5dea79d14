// JSON Schemas of the simulator's options that are data. A mistake is a RangeError that names it.
import Type, { type TProperties, type TSchema } from "typebox";
import { formatPath, problemFinder } from "../schema/problems.ts";

export const count = Type.Integer({ minimum: 1 });
export const notNegative = Type.Number({ minimum: 0 });
export const positive = Type.Number({ exclusiveMinimum: 0 });
export const share = Type.Number({ exclusiveMinimum: 0, maximum: 1 });
export const text = Type.String();

/** Declares an object without other fields. All fields are optional, except those in `required`. */
export function section(properties: TProperties, required: readonly string[] = []) {
  const fields = Object.entries(properties).map(([name, schema]): [string, TSchema] => [
    name,
    required.includes(name) ? schema : Type.Optional(schema),
  ]);
  return Type.Object(Object.fromEntries(fields), { additionalProperties: false });
}

/** Declares a map with any names as keys. */
const named = (value: TSchema) => Type.Unsafe<object>({ type: "object", additionalProperties: value });

const range = (number: TSchema) => Type.Union([number, Type.Array(number, { minItems: 2, maxItems: 2 })]);

const quotas = { requestsPerMinute: count, tokensPerMinute: count };

const model = section({
  ...quotas,
  maxOutputTokens: count,
  contextTokens: count,
  outputBurndown: positive,
  dayWeight: notNegative,
  streaming: Type.Boolean(),
  streamingTools: Type.Boolean(),
  profileOnly: Type.Boolean(),
  countsTokens: Type.Boolean(),
});

const foreignFields = {
  modelId: text,
  region: text,
  account: text,
  requestsPerMinute: positive,
  tokensPerRequest: notNegative,
  fromMs: notNegative,
  untilMs: positive,
};
export const foreignTraffic = section(foreignFields, ["requestsPerMinute"]);

/** The SDK adds its own fields to credentials, and they are accepted. */
const credentials = Type.Object({
  accessKeyId: Type.String({ minLength: 1, secret: true }),
  secretAccessKey: Type.String({ minLength: 1, secret: true }),
  sessionToken: Type.Optional(Type.String({ secret: true })),
  expired: Type.Optional(Type.Boolean()),
  account: Type.Optional(text),
});
export const credentialsList = Type.Array(credentials);

/** Every option that is data. Single faults and credentials are checked separately. */
export const optionFields = {
  ...quotas,
  host: text,
  port: Type.Integer({ minimum: 0, maximum: 65_535 }),
  seed: Type.Integer(),
  window: Type.Enum(["fixed", "sliding", "bucket"]),
  windowMs: positive,
  bucketCapacity: share,
  tokensPerDay: count,
  dayWindow: Type.Enum(["sliding", "utc"]),
  dayMs: positive,
  tokensPerSecond: positive,
  jitterMs: notNegative,
  throttleEvery: count,
  unavailableEvery: count,
  cutEvery: count,
  journalSize: count,
  models: named(model),
  account: Type.Object({ pageSize: Type.Optional(count), denied: Type.Optional(Type.Boolean()) }),
  regions: named(section({ ...quotas, tokensPerDay: count, models: named(section(quotas)) })),
  foreignTraffic: Type.Array(foreignTraffic),
  latencyMs: range(notNegative),
  answerTokens: range(count),
  faults: Type.Array(Type.Unknown()),
  verifySignatures: Type.Unknown(),
  bearerKeys: Type.Array(text),
};

/**
 * Compiles a check of values. Pass it a name to put before the path of a mistake; omit it for the options themselves.
 * @returns a function that throws RangeError with the path, what is allowed and what was found
 */
export function optionCheck(schema: TSchema): (value: unknown, name?: string) => void {
  const find = problemFinder(schema);
  return (value, name) => {
    const [problem] = find(value);
    if (!problem) return;
    const inside = formatPath(problem.path);
    const joint = name === undefined || inside === "" || inside.startsWith("[") ? "" : ".";
    throw new RangeError(`${name ?? ""}${joint}${inside} ${problem.text}.`);
  };
}

/**
 * Reads `name=value,name=value`. Values become numbers if the schema of their field requires one. Checks nothing else.
 * @throws RangeError for a part of another form
 */
export function readFields(line: string, { properties }: { properties: TProperties }): Record<string, string | number> {
  const fields: Record<string, string | number> = {};
  for (const part of line === "" ? [] : line.split(",")) {
    const at = part.indexOf("=");
    if (at < 1) throw new RangeError(`Each part must have the form name=value; got ${JSON.stringify(part)}.`);
    const [name, value] = [part.slice(0, at), part.slice(at + 1)];
    const { type } = (Object.hasOwn(properties, name) ? properties[name] : {}) as { type?: string };
    const numeric = (type === "number" || type === "integer") && value.trim() !== "";
    fields[name] = numeric && Number.isFinite(Number(value)) ? Number(value) : value;
  }
  return fields;
}
