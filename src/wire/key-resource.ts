// Defines the requests and the resource of API keys.
import Type, { type Static } from "typebox";
import type { Priority } from "../domain/job.ts";
import { toUsd } from "../domain/money.ts";
import type { KeyInput, KeyRecord } from "../jobs/keys/keys.ts";
import type { KeyUsage } from "../jobs/reservation.ts";
import { nameList, priority } from "./request-fields.ts";
import { iso, isoOrNull, nullable, time } from "./resource-types.ts";

const name = (description: string) => Type.String({ minLength: 1, maxLength: 100, description });
const fields = {
  environments: nameList("Environments that the key may use. Default: all."),
  weight: Type.Number({
    exclusiveMinimum: 0,
    maximum: 1_000_000,
    description: "The tenant's weight relative to other tenants. Default: the configured weight, or 1.",
  }),
  priority_max: priority("Highest priority of the key's jobs. Default: any."),
  regions: nameList("Regions that may serve the key's jobs. Default: any."),
  daily_tokens: Type.Integer({
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: "Maximum input and output tokens per UTC day. Default: no limit.",
  }),
  budget_usd: Type.Number({
    exclusiveMinimum: 0,
    maximum: 1_000_000,
    description: "Maximum US dollars per calendar month (UTC). Default: no limit.",
  }),
  max_waiting: Type.Integer({
    minimum: 1,
    maximum: 100_000_000,
    description: "Maximum number of jobs waiting or running at a time. Default: no limit.",
  }),
  max_wait_s: Type.Integer({
    minimum: 1,
    maximum: 86_400,
    description:
      "Maximum time to hold a call of the Bedrock Runtime API that is not streamed, in seconds. The header x-sluice-max-wait replaces it. Default: 55.",
  }),
};

export const keyBody = Type.Object(
  {
    name: name("A name for people. Also the tenant, unless tenant is set."),
    tenant: Type.Optional(
      name("The tenant that owns the key's jobs. Several keys may share a tenant. Default: the name."),
    ),
    environments: Type.Optional(fields.environments),
    weight: Type.Optional(fields.weight),
    priority_max: Type.Optional(fields.priority_max),
    regions: Type.Optional(fields.regions),
    daily_tokens: Type.Optional(fields.daily_tokens),
    budget_usd: Type.Optional(fields.budget_usd),
    max_waiting: Type.Optional(fields.max_waiting),
    max_wait_s: Type.Optional(fields.max_wait_s),
    admin: Type.Optional(
      Type.Boolean({ description: "Whether the key sees the jobs of all tenants and manages keys. Default: false." }),
    ),
    read_only: Type.Optional(
      Type.Boolean({ description: "Whether the key may only read, and no secrets. Default: false." }),
    ),
  },
  { additionalProperties: false, examples: [{ name: "billing", environments: ["UAT"] }] },
);

export type KeyBody = Static<typeof keyBody>;

export const keySchema = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    tenant: Type.String(),
    admin: Type.Boolean(),
    read_only: Type.Boolean(),
    hint: Type.String({ description: "The first and last characters of the key." }),
    environments: nullable(fields.environments),
    weight: nullable(fields.weight),
    priority_max: nullable(Type.String()),
    regions: nullable(fields.regions),
    daily_tokens: nullable(fields.daily_tokens),
    budget_usd: nullable(fields.budget_usd),
    max_waiting: nullable(fields.max_waiting),
    max_wait_s: nullable(fields.max_wait_s),
    used: Type.Union(
      [
        Type.Object({
          jobs: Type.Integer({ description: "Jobs of the key that wait or run." }),
          tokens_today: Type.Integer({ description: "Tokens of jobs that ended on this UTC day." }),
          tokens_reserved: Type.Integer({ description: "Tokens of unfinished jobs: what they used and may use." }),
          usd_this_month: Type.Number({ description: "US dollars of jobs that ended in this UTC month." }),
          usd_reserved: Type.Number({
            description: "US dollars of unfinished jobs. 0 for a key without budget_usd, which reserves none.",
          }),
        }),
        Type.Null(),
      ],
      {
        description:
          "What counts against the limits now: a limit bounds the used and the reserved amount together. Null for a key without limits.",
      },
    ),
    created_at: time("When the key was created."),
    last_used_at: nullable(
      time("When the key was last used, to about a minute. Null if it never was, since Sluice records it."),
    ),
    revoked_at: nullable(time("When the key was revoked. Null if it is valid.")),
    key: Type.Optional(Type.String({ description: "The key itself. Returned only by the call that creates it." })),
  },
  { $id: "Key" },
);

export type KeyResource = Static<typeof keySchema>;

export function keyInputOf(body: KeyBody): KeyInput {
  const input = {
    name: body.name,
    tenant: body.tenant,
    environments: body.environments,
    weight: body.weight,
    priorityMax: body.priority_max as Priority | undefined,
    regions: body.regions,
    dailyTokens: body.daily_tokens,
    budgetUsd: body.budget_usd,
    maxWaiting: body.max_waiting,
    maxWaitS: body.max_wait_s,
    admin: body.admin,
    readOnly: body.read_only,
  };
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)) as unknown as KeyInput;
}

/** What a key's resource has besides the record. */
interface KeyFacts {
  /** The key's text, only if it was created just now. */
  key?: string | undefined;
  /** What counts against its limits. Absent: it has none, or that is not known here. */
  usage?: KeyUsage | undefined;
  /** When it was last used, in milliseconds since the epoch. */
  lastUsedAt?: number | undefined;
}

/** Returns a key as the API shows it. */
export function keyResource(record: KeyRecord, { key, usage, lastUsedAt }: KeyFacts = {}): KeyResource {
  return {
    id: record.id,
    name: record.name,
    tenant: record.tenant,
    admin: record.admin,
    read_only: record.readOnly ?? false,
    hint: `sk-sluice-${record.id}-...${record.hint}`,
    environments: record.environments ?? null,
    weight: record.weight ?? null,
    priority_max: record.priorityMax ?? null,
    regions: record.regions ?? null,
    daily_tokens: record.dailyTokens ?? null,
    budget_usd: record.budgetUsd ?? null,
    max_waiting: record.maxWaiting ?? null,
    max_wait_s: record.maxWaitS ?? null,
    used: usage ? usedOf(usage) : null,
    created_at: iso(record.createdAt),
    last_used_at: isoOrNull(lastUsedAt),
    revoked_at: isoOrNull(record.revokedAt),
    ...(key !== undefined && { key }),
  };
}

function usedOf({ reserved, today, month }: KeyUsage): NonNullable<KeyResource["used"]> {
  return {
    jobs: reserved.jobs,
    tokens_today: today.tokens,
    tokens_reserved: reserved.tokens,
    usd_this_month: toUsd(month.nanoUsd),
    usd_reserved: toUsd(reserved.nanoUsd),
  };
}
