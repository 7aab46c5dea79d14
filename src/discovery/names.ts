// The names of quotas in Service Quotas, and which deployment they speak of. AWS names models there as in its brochures
// ("Meta Llama 3.3 70B Instruct"), never by ID, and not always in the same way: capitals vary, vendors come and go, and so
// do sizes and a "V1" at the end. So both names are taken apart into words and compared. Pure.

/** The way of calling that a quota holds for: by the model's own ID, a geographic profile, or a global one. */
export type Scope = "on-demand" | "cross-region" | "global";

export interface QuotaName {
  scope: Scope;
  unit: "requests" | "tokens";
  per: "minute" | "day";
  /** As AWS calls the model; absent for the quota that all models share. */
  model?: string;
}

const perModel =
  /^(?:(global cross-region|cross-region|on-demand)\s+)?(?:model inference|invokemodel)\s+(tokens|requests) per (minute|day) for (.+)$/i;
const invocationsPerDay = /^model invocation max tokens per day for (.+)$/i;
const allModels = /^cross-model max tokens per day$/i;

/** What a row of Service Quotas limits; undefined for the hundreds of rows that limit something else than calls. */
export function parseQuotaName(name: string): QuotaName | undefined {
  const text = name.trim().replace(/\s*\(doubled for cross-region calls\)$/i, "");
  if (allModels.test(text)) return { scope: "on-demand", unit: "tokens", per: "day" };
  const daily = invocationsPerDay.exec(text);
  if (daily) return { scope: "on-demand", unit: "tokens", per: "day", model: daily[1]! };
  const match = perModel.exec(text);
  if (!match) return undefined;
  const [, scope = "on-demand", unit, per, model] = match as unknown as [
    string,
    string | undefined,
    string,
    string,
    string,
  ];
  return {
    scope: /^global/i.test(scope) ? "global" : /^cross/i.test(scope) ? "cross-region" : "on-demand",
    unit: unit.toLowerCase() as QuotaName["unit"],
    per: per.toLowerCase() as QuotaName["per"],
    model,
  };
}

// ---------------------------------------------------------------- which model

/** The scopes whose quotas a model ID may draw on, the likeliest first. */
export function scopesOf(modelId: string): Scope[] {
  // A profile of one's own draws on the quotas of the profile or the model that it copies; its ID does not tell which.
  if (modelId.includes(":application-inference-profile/")) return ["cross-region", "global", "on-demand"];
  const id = lastPart(modelId);
  if (id.startsWith("global.")) return ["global"];
  return profilePrefix.test(id) ? ["cross-region"] : ["on-demand"];
}

/** How well a name that AWS gives a model fits an ID: 2 in every word, 1 without size and date, 0 not at all. */
export function likeness(displayName: string, modelId: string): 0 | 1 | 2 {
  const shown = wordsOf(displayName.toLowerCase().replace(vendors, ""));
  const id = wordsOf(bareId(modelId).replace(/^[^.]+\./, ""));
  if (shown.essential !== id.essential) return 0;
  const missing = (from: Set<string>, words: Set<string>) => [...words].filter((word) => !from.has(word)).length;
  const lacksA = missing(shown.optional, id.optional);
  const lacksB = missing(id.optional, shown.optional);
  if (lacksA === 0 && lacksB === 0) return 2;
  return lacksA === 0 || lacksB === 0 ? 1 : 0;
}

const profilePrefix = /^(us-gov|us|eu|apac|au|jp|ca|global)\./;
const vendors =
  /^(meta|anthropic|amazon|openai|mistral ai|deepseek|qwen(?= )|google|nvidia|minimax|moonshot ai|z\.ai|writer|cohere|ai21 labs|xai)[ -]+(?=\S)/;

/** The ID of the model itself: no ARN, no prefix of a profile. */
export function bareId(modelId: string): string {
  return lastPart(modelId).replace(profilePrefix, "");
}

function lastPart(modelId: string): string {
  return modelId.slice(modelId.lastIndexOf("/") + 1);
}

/** Sizes (70b, a22b), dates and `instruct` are left out by AWS where they go without saying. */
const optionalWord = /^(instruct|it|chat|a?\d+(\.\d+)?b|\d{4,8})$/;

function wordsOf(name: string): { essential: string; optional: Set<string> } {
  const words = name
    .toLowerCase()
    // `-v1:0` and ` V1` are the first version, which not every name mentions; `-1:0` is OpenAI's way of saying so.
    .replace(/:\d+(:\w+)?$/, "")
    .replace(/[- ]v?1$/, (end, _at: number, all: string) => (/v/.test(end) || all.startsWith("gpt-oss") ? "" : end))
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  return {
    essential: words.filter((word) => !optionalWord.test(word)).join(""),
    optional: new Set(words.filter((word) => optionalWord.test(word))),
  };
}
