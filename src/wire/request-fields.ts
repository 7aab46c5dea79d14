// Defines the fields that several requests share, each once: its schema, its limits and its meaning for a job. A
// request uses the groups that it needs. jobs/submit/parameters.ts checks the limits of a model later.
import Type, { type Static } from "typebox";
import type { Settings } from "../config/settings.ts";
import { SluiceError } from "../domain/errors.ts";
import { type JobState, jobStates, priorities } from "../domain/job.ts";
import type { Caller } from "../jobs/caller.ts";
import type { JobFilter } from "../jobs/read/list.ts";
import type { NotBefore } from "../jobs/submit/not-before.ts";
import { environmentFor } from "../jobs/submit/policy.ts";
import type { CanonicalInput } from "../jobs/submit/submit-input.ts";
import { time } from "./resource-types.ts";

export const priority = (description: string) => Type.Enum([...priorities], { description });

/** Returns the schema of a list of names, such as regions. */
export const nameList = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 64, description });

export const metadata = Type.Unsafe<Record<string, string>>({
  type: "object",
  additionalProperties: { type: "string", maxLength: 512 },
  maxProperties: 16,
  propertyNames: { minLength: 1, maxLength: 64 },
  description: "Your own labels, returned with the job or batch.",
});

export const webhookUrl = (what: "job" | "batch") =>
  Type.String({
    minLength: 1,
    maxLength: 4096,
    description: `An https:// URL that receives a signed webhook when the ${what} ends. See docs/webhooks.md.`,
  });

const stopText = Type.String({ minLength: 1, maxLength: 256 });
export const stopTexts = Type.Array(stopText, {
  maxItems: 16,
  description: "The answer ends before any of these texts.",
});
export const stopTextOrTexts = Type.Union([stopText, Type.Array(stopText, { maxItems: 16 })]);

/** Accepts any word, because models differ and new levels appear. The catalogue lists the levels of some models. */
export const reasoningEffort = Type.String({
  minLength: 1,
  maxLength: 64,
  description: "A level such as none, minimal, low, medium, high, xhigh or max. Levels differ by model.",
});

export const dryRunField = {
  dry_run: Type.Optional(
    Type.Boolean({
      description: "If true, only checks and estimates: nothing is stored and nothing runs. Default: false.",
    }),
  ),
};

/** Returns the two forms of not_before: a time, or seconds from now. */
export function notBeforeForms({ limits }: Settings): [Type.TString, Type.TNumber] {
  return [Type.String({ format: "date-time" }), Type.Number({ minimum: 0, maximum: limits.maxExpiresInS })];
}

export function notBeforeOf(value: string | number): NotBefore {
  return typeof value === "string" ? { at: Date.parse(value) } : { inMs: Math.ceil(value * 1000) };
}

/** Returns the fields of every request that submits one job. */
export function submitFields(settings: Settings) {
  return {
    model: Type.Optional(
      Type.String({
        description: `One of ${Object.keys(settings.models).join(", ")}. Default: ${settings.defaultModel}.`,
      }),
    ),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2, description: "Bedrock accepts at most 1." })),
    top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    expires_in: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: settings.limits.maxExpiresInS,
        description: "Seconds until a job that has not completed expires. Default: never.",
      }),
    ),
    metadata: Type.Optional(metadata),
    webhook_url: Type.Optional(webhookUrl("job")),
    ...dryRunField,
  };
}

/**
 * Returns the schema of the environment field.
 * @param otherwise what applies if the field is absent, as a sentence
 */
export function environmentField({ environments }: Settings, otherwise: string) {
  return Type.Optional(
    Type.String({
      description: `The environment, and with it the database: ${Object.keys(environments).join(" or ")}. ${otherwise}`,
    }),
  );
}

/** Fields that decide where a job may run, and what to do if that fails. */
export const placementFields = {
  regions: Type.Optional(nameList("Regions whose deployments may serve the job. Default: any.")),
  fallback_models: Type.Optional(
    Type.Array(Type.String(), {
      maxItems: 8,
      description:
        "Models to use, in this order, when no deployment of the model is in service. The response names the one used.",
    }),
  ),
  on_unknown: Type.Optional(
    Type.Enum(["retry", "fail"], {
      description: "What to do when a call was lost and may have been billed. Default: retry.",
    }),
  ),
  // Providers differ: Claude and Nova accept hundreds, and servers such as vLLM accept the size of their vocabulary.
  top_k: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
};

export const samplingFields = {
  // JavaScript does not read larger integers in JSON exactly.
  seed: Type.Optional(Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })),
  frequency_penalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2 })),
  presence_penalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2 })),
};

/** The filter of jobs, for a list and for changes to many jobs. */
export const jobFilterFields = {
  environment: Type.Optional(Type.String()),
  status: Type.Optional(Type.Enum([...jobStates])),
  model: Type.Optional(Type.String()),
  tenant: Type.Optional(Type.String({ description: "Only admin keys may name another tenant than their own." })),
  priority: Type.Optional(Type.Enum([...priorities])),
  submitted_after: Type.Optional(time("Jobs submitted at this time or later.")),
  submitted_before: Type.Optional(time("Jobs submitted before this time.")),
  batch: Type.Optional(Type.String({ maxLength: 200, description: "Jobs that are lines of this batch." })),
  error: Type.Optional(
    Type.String({
      pattern: "^[a-z_]{1,64}$",
      description:
        "Jobs that ended with this error code. Without `status`, only failed jobs. Like `metadata`, it may leave pages short or empty.",
    }),
  ),
  metadata: Type.Optional(
    Type.Unsafe<Record<string, string>>({
      ...metadata,
      description:
        "Jobs that have all of these labels. One call examines a bounded number of jobs, so a page may be short or empty although more follow. Continue with `next_cursor`.",
    }),
  ),
};

type JobFilterFields = Static<Type.TObject<typeof jobFilterFields>>;

/** Final states that may have an error. */
const statesWithError: readonly JobState[] = ["failed", "cancelled", "expired"];

/**
 * Converts `jobFilterFields` to a filter.
 * @throws SluiceError `unknown_environment`, `forbidden`, `invalid_request` for an error code with a status that has none
 */
export function jobFilterOf(settings: Settings, fields: JobFilterFields, caller: Caller): JobFilter {
  const { environment, status, model, tenant, priority, submitted_after, submitted_before, batch, metadata, error } =
    fields;
  if (error !== undefined && status !== undefined && !statesWithError.includes(status)) {
    const message = `error requires one of the statuses ${statesWithError.join(", ")}; got ${status}.`;
    throw new SluiceError("invalid_request", message, { field: "error" });
  }
  const filter: { [Name in keyof JobFilter]: JobFilter[Name] | undefined } = {
    environment: environment === undefined ? undefined : environmentFor(settings, caller, environment),
    state: status ?? (error === undefined ? undefined : "failed"),
    model,
    tenant,
    priority,
    submittedFrom: submitted_after === undefined ? undefined : Date.parse(submitted_after),
    submittedTo: submitted_before === undefined ? undefined : Date.parse(submitted_before),
    batchId: batch,
    metadata: metadata && Object.keys(metadata).length > 0 ? metadata : undefined,
    error,
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}

type SubmitBody = Static<Type.TObject<ReturnType<typeof submitFields>>> &
  Partial<Static<Type.TObject<typeof placementFields>>>;

/** Converts `submitFields` and `placementFields` to submit input. */
export function submitFieldsInput(body: SubmitBody) {
  const { expires_in: expiresInS } = body;
  return {
    model: body.model,
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k,
    regions: body.regions,
    fallbackModels: body.fallback_models,
    onUnknown: body.on_unknown,
    expiresInMs: expiresInS === undefined ? undefined : expiresInS * 1000,
    metadata: body.metadata,
    webhookUrl: body.webhook_url,
  } satisfies Partial<CanonicalInput>;
}
