// Words the advice about a quota: a sentence for the operator, and the text to paste into AWS's form. AWS asks for steady
// and peak tokens and requests per minute, and for average input and output. Pure.
import { scopesOf } from "../../discovery/names.ts";
import { longInputTokens } from "./period.ts";
import type { MinuteSpread, QuotaAdvice } from "./quota-advice.ts";

/** A deployment that uses the quota. */
export interface QuotaUser {
  provider: "bedrock" | "openai";
  region: string;
  modelId: string;
  /** Label of the account whose credentials are used, if it is not the default one. */
  account?: string;
  /** AWS's name of the model, if it is configured. */
  listedAs?: string;
  /** Host name of the server, unless the provider is Bedrock. */
  host?: string;
  /** Whether the built-in simulator answers instead. */
  isSimulated: boolean;
  /** Whether AWS lists the model as Legacy. */
  isLegacy: boolean;
}

export interface AdviceTextOptions {
  users: readonly QuotaUser[];
  targetWaitHours: number;
  /** Start and end of the history that was read, in milliseconds since the epoch. */
  from: number;
  to: number;
}

/** Who decides about the quota, and how to ask: Service Quotas, a case with AWS Support, or the operator of a server. */
export type AdviceForm = "aws_service_quotas" | "aws_support_case" | "other";

/** Less history may miss the busiest hour of a day. */
const enoughMinutes = 24 * 60;

export function formOf({ quota }: QuotaAdvice, users: readonly QuotaUser[]): AdviceForm {
  if (users.some(({ provider }) => provider !== "bedrock")) return "other";
  return quota.per === "day" ? "aws_support_case" : "aws_service_quotas";
}

/** Returns what to do about the quota, and why, as one or two sentences. */
export function reasonOf(advice: QuotaAdvice, { targetWaitHours }: AdviceTextOptions): string {
  const { status, quota, demand = 0, busiestAt = 0, limitedShare, minutes } = advice;
  const unit = unitOf(advice);
  const held = `It held up jobs for ${percent(limitedShare)} of the time`;
  const busiest = `the busiest ${span(quota.per === "day" ? 24 : targetWaitHours)} (from ${utcMinute(busiestAt)})`;
  switch (status) {
    case "no_history":
      return minutes === 0
        ? "There is no history of this quota yet. Ask again after a day of work."
        : "No job has ended yet, so what a job costs is unknown. Ask again after a day of work.";
    case "enough":
      return limitedShare === 0
        ? "No increase needed: no job waited for this quota."
        : `No increase needed. ${held}, and never for a notable part of an hour.`;
    case "bursts":
      return (
        `No increase needed. ${held}, but ${busiest} brought work for ${percent(demand / quota.configuredLimit)} of the ` +
        "limit. Jobs waited because many came at once."
      );
    case "restore":
      return (
        `The provider refuses calls above about ${number(quota.effectiveLimit)} ${unit}. The configured limit, ` +
        `${number(quota.configuredLimit)}, would be enough: ask the provider to apply it to your account.`
      );
    case "increase":
      return (
        `${held}. In ${busiest}, jobs arrived that need ${number(demand)} ${unit}. The requested limit is ` +
        "25 % higher, to leave room for bursts and growth."
      );
  }
}

/** Returns sentences that limit what the figures say. */
export function cautionsOf(advice: QuotaAdvice, { users }: AdviceTextOptions): string[] {
  const { quota, minutes, status } = advice;
  const isAsked = status === "increase" || status === "restore";
  const form = formOf(advice, users);
  const cautions = [
    minutes > 0 &&
      minutes < enoughMinutes &&
      `The history covers only ${history(minutes)} and may miss the busiest hours.`,
    isAsked &&
      users.some(({ isSimulated }) => isSimulated) &&
      "The built-in simulator answered, so the figures show nothing about AWS.",
    isAsked && form === "other" && `${ownerOf(users)} decides about this quota, so AWS's form does not apply.`,
    isAsked &&
      form === "aws_support_case" &&
      "AWS changes tokens per day by a Support case only. All models of the account and Region share them, at weights that Sluice does not know.",
    isAsked &&
      form === "aws_service_quotas" &&
      quota.unit === "requests" &&
      "AWS Support raises requests per minute together with tokens per minute of the same model: ask for those.",
    isAsked &&
      users.some(({ isLegacy }) => isLegacy) &&
      "AWS does not raise quotas of Legacy models. Plan to move to a newer model.",
    isAsked &&
      quota.effectiveLimit < quota.configuredLimit &&
      status === "increase" &&
      `The provider now refuses calls above about ${number(quota.effectiveLimit)} ${unitOf(advice)}.`,
  ];
  return cautions.filter((caution) => caution !== false);
}

/** Returns the text for the form, one field a line. Undefined if there is nothing to ask for. */
export function formTextOf(advice: QuotaAdvice, options: AdviceTextOptions): string | undefined {
  if (advice.requestedLimit === undefined) return undefined;
  const { quota, requestedLimit, limitedShare, requests, throttles, minutes, busyMinutes, average, demand } = advice;
  const { users, from, to } = options;
  const form = formOf(advice, users);
  const isBedrock = form !== "other";
  const unit = unitOf(advice);
  const distinct = (values: (string | undefined)[]) => [...new Set(values.filter((value) => value !== undefined))];
  const accounts = distinct(users.map(({ account }) => account));
  const fields: [string, string | undefined][] = [
    ["Service", isBedrock ? "Amazon Bedrock, on-demand inference (bedrock-runtime)" : ownerOf(users)],
    ["Region", distinct(users.map(({ region }) => region)).join(", ")],
    ["Account", accounts.length > 0 ? accounts.join(", ") : undefined],
    ["Model", distinct(users.map(({ modelId }) => modelId)).join(", ")],
    ["Cross-Region inference", isBedrock ? crossRegion(users) : undefined],
    ["Quota", isBedrock ? awsNameOf(advice, users) : `${unit}`],
    ["Current limit", `${number(quota.configuredLimit)} ${unit}`],
    ["Requested limit", `${number(requestedLimit)} ${unit}`],
    ["Steady state tokens per minute", spread(advice.tokensPerMinute, "p50")],
    ["Peak tokens per minute", spread(advice.tokensPerMinute, "p90")],
    ["Steady state requests per minute", spread(advice.requestsPerMinute, "p50")],
    ["Peak requests per minute", spread(advice.requestsPerMinute, "p90")],
    ["Average input tokens per request", average && number(average.inputTokens)],
    ["Average output tokens per request", average && number(average.outputTokens)],
    [`Requests with more than ${number(longInputTokens)} input tokens`, average && percent(average.longInputShare)],
    ["Share of time at the limit", percent(limitedShare)],
    ["Projected demand", demand === undefined ? undefined : `${number(demand)} ${unit}`],
  ];
  const lines = fields.flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  return [
    ...lines,
    "",
    `Measured from ${utcMinute(from)} to ${utcMinute(to)}, over ${history(minutes)}: ${number(requests)} requests, ` +
      `of which ${number(throttles)} were throttled. Steady state and peak are the 50th and 90th percentile of the ` +
      `${number(busyMinutes)} minutes with requests; the present limit held them down. The projected demand is what ` +
      `the work that arrived in the busiest ${span(quota.per === "day" ? 24 : options.targetWaitHours)} needs.`,
    "Our client queues requests, keeps them below the quota, and sends max_tokens with each.",
  ].join("\n");
}

// ---------------------------------------------------------------- words

function unitOf({ quota: { unit, per } }: QuotaAdvice): string {
  return `${unit.replace("_", " ")} per ${per}`;
}

const scopeNames = {
  "on-demand": "On-demand",
  "cross-region": "Cross-region",
  global: "Global cross-region",
} as const;

/** Returns the name under which Service Quotas most likely lists the quota. AWS writes the model's display name. */
function awsNameOf(advice: QuotaAdvice, users: readonly QuotaUser[]): string {
  const { quota } = advice;
  if (quota.per === "day") return "Cross-model max tokens per day";
  const [user] = users;
  if (!user) return unitOf(advice);
  const unit = quota.unit === "requests" ? "requests" : "tokens";
  const [scope] = scopesOf(user.modelId) as [keyof typeof scopeNames];
  return `${scopeNames[scope]} model inference ${unit} per minute for ${user.listedAs ?? user.modelId}`;
}

function crossRegion(users: readonly QuotaUser[]): string {
  const scopes = new Set(users.map(({ modelId }) => scopesOf(modelId)[0]));
  if (scopes.has("global")) return "yes, global";
  return scopes.has("cross-region") ? "yes, geographic" : "no";
}

function ownerOf(users: readonly QuotaUser[]): string {
  const hosts = [...new Set(users.flatMap(({ host }) => host ?? []))];
  return hosts.length > 0 ? `The operator of ${hosts.join(" and ")}` : "The operator of the server";
}

function spread(values: MinuteSpread | undefined, name: keyof MinuteSpread): string | undefined {
  return values && number(values[name]);
}

function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

function percent(share: number): string {
  if (share > 0 && share < 0.001) return "less than 0.1 %";
  return `${Number((share * 100).toFixed(share < 0.1 ? 1 : 0))} %`;
}

function span(hours: number): string {
  return hours === 1 ? "hour" : `${hours} hours`;
}

function history(minutes: number): string {
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2 * enoughMinutes ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / enoughMinutes)} days`;
}

function utcMinute(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 16).replace("T", " ")}Z`;
}
