// Parses quota names of Service Quotas and matches them to deployments. AWS uses marketing names there ("Meta Llama 3.3
// 70B Instruct"), never IDs, and spells them inconsistently: capitals, vendors, sizes and a final "V1" vary. So both
// names are split into words and compared. Pure.

/** How a call must be made for the quota to apply: by the model's own ID, a geographic profile, or a global profile. */
export type Scope = "on-demand" | "cross-region" | "global";

/** What a quota's name says. */
export interface QuotaName {
  scope: Scope;
  unit: "requests" | "tokens";
  per: "minute" | "day";
  /** AWS's name of the model. Absent for the quota that all models share. */
  model?: string;
}

const perModel =
  /^(?:(global cross-region|cross-region|on-demand)\s+)?(?:model inference|invokemodel)\s+(tokens|requests) per (minute|day) for (.+)$/i;
const invocationsPerDay = /^model invocation max tokens per day for (.+)$/i;
const allModels = /^cross-model max tokens per day$/i;

/** Returns what a row of Service Quotas limits. Undefined for the hundreds of rows that do not limit calls. */
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

/** Returns the scopes whose quotas calls of a model ID may use, the likeliest first. */
export function scopesOf(modelId: string): Scope[] {
  // A custom profile uses the quotas of the profile or model that it copies. Its ID does not say which.
  if (modelId.includes(":application-inference-profile/")) return ["cross-region", "global", "on-demand"];
  const id = lastPart(modelId);
  if (id.startsWith("global.")) return ["global"];
  return profilePrefix.test(id) ? ["cross-region"] : ["on-demand"];
}

/** Returns how well AWS's name of a model matches an ID: 2 in every word, 1 without size and date, 0 not at all. */
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

/** Returns the ID of the model itself, without ARN and profile prefix. */
export function bareId(modelId: string): string {
  return lastPart(modelId).replace(profilePrefix, "");
}

function lastPart(modelId: string): string {
  return modelId.slice(modelId.lastIndexOf("/") + 1);
}

/** Words that AWS omits where they are obvious: sizes (70b, a22b), dates and `instruct`. */
const optionalWord = /^(instruct|it|chat|a?\d+(\.\d+)?b|\d{4,8})$/;

function wordsOf(name: string): { essential: string; optional: Set<string> } {
  const words = name
    .toLowerCase()
    // `-v1:0` and ` V1` mean the first version, which some names omit. OpenAI's IDs end with `-1:0` instead.
    .replace(/:\d+(:\w+)?$/, "")
    .replace(/[- ]v?1$/, (end, _at: number, all: string) => (/v/.test(end) || all.startsWith("gpt-oss") ? "" : end))
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  return {
    essential: words.filter((word) => !optionalWord.test(word)).join(""),
    optional: new Set(words.filter((word) => optionalWord.test(word))),
  };
}
