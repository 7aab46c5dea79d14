// Sums of what attempts used, updated in the transaction that changes the attempts. They are exact after a crash, and
// reading them reads no attempt.
import type { AttemptEnd } from "../../domain/job.ts";
import {
  addUsage,
  noUsage,
  type UsageRow,
  type UsageSums,
  usageDay,
  usageFields,
  usageOfAttempt,
} from "../../domain/usage.ts";
import type { Database, Statement } from "./driver.ts";
import type { AttemptRow } from "./rows.ts";

/** The owner of an attempt. */
export interface AttemptOwner {
  environment: string | null;
  tenant: string | null;
  key_id: string | null;
}

/** The fields of an attempt that the sums need. */
export type UsedAttempt = AttemptOwner &
  Pick<AttemptRow, "n" | "charged_at" | "model" | "reserved_input" | "reserved_output" | "reserved_nano_usd">;

/** The key of a sum after its environment, in the order of the table's primary key. */
export type UsageKey = readonly [day: number, tenant: string, keyId: string, model: string];

const keyColumns = ["day", "tenant", "key_id", "model"] as const;

/** The column of each field of `UsageSums`. */
const columns: Record<keyof UsageSums, string> = {
  jobs: "jobs",
  attempts: "attempts",
  open: "open",
  unpriced: "unpriced",
  estimated: "estimated",
  input: "input",
  output: "output",
  cacheRead: "cache_read",
  cacheWrite: "cache_write",
  nanoUsd: "nano_usd",
  estimatedInput: "estimated_input",
  estimatedOutput: "estimated_output",
  estimatedNanoUsd: "estimated_nano_usd",
};
const sumColumns = usageFields.map((field) => columns[field]);

export class UsageWriter {
  readonly #add: Statement;
  /** Changes of this transaction, written once per commit, because most attempts of a commit share a sum. */
  readonly #changes = new Map<string, { key: [environment: string, ...UsageKey]; sums: UsageSums }>();

  constructor(db: Database) {
    const all = ["environment", ...keyColumns, ...sumColumns];
    this.#add = db.prepare(
      `INSERT INTO usage_sums (${all.join(", ")}) VALUES (${all.map(() => "?").join(", ")})
       ON CONFLICT DO UPDATE SET ${sumColumns.map((c) => `${c} = ${c} + excluded.${c}`).join(", ")}`,
    );
  }

  begun(attempt: UsedAttempt): void {
    const sums = this.#sumsOf(attempt);
    if (sums) addUsage(sums, usageOf(attempt));
  }

  /** Counts the end of an attempt that had none before. */
  ended(attempt: UsedAttempt, end: AttemptEnd): void {
    const sums = this.#sumsOf(attempt);
    if (!sums) return;
    addUsage(sums, usageOf(attempt), -1);
    addUsage(sums, usageOf(attempt, end));
  }

  /** Returns the sums to change. Undefined for attempts of jobs that were deleted before sums were kept. */
  #sumsOf({ environment, charged_at: chargedAt, tenant, key_id: keyId, model }: UsedAttempt): UsageSums | undefined {
    if (environment === null) return undefined;
    const key = [environment, usageDay(chargedAt), tenant ?? "default", keyId ?? "", model] as const;
    const text = JSON.stringify(key);
    let change = this.#changes.get(text);
    if (!change) {
      change = { key: [...key], sums: { ...noUsage } };
      this.#changes.set(text, change);
    }
    return change.sums;
  }

  /** Writes the changes. Call it before COMMIT. */
  write(): void {
    for (const { key, sums } of this.#changes.values()) {
      this.#add.run(...key, ...usageFields.map((field) => sums[field]));
    }
    this.#changes.clear();
  }

  /** Drops the changes. Call it after ROLLBACK. */
  drop(): void {
    this.#changes.clear();
  }
}

/** A row of `usage_sums`; the names are those of `UsageSums`. */
export interface UsageTableRow extends UsageSums {
  day: number;
  tenant: string;
  keyId: string;
  model: string;
}

/** The largest whole number that both sides of the driver can represent. */
const largest = Number.MAX_SAFE_INTEGER;

/** Reads sums in the order of the primary key, a page at a time: no other read waits for more than a page. */
export const usageSql = `
  SELECT day, tenant, key_id AS keyId, model, ${usageFields.map((f) => `MIN(${columns[f]}, ${largest}) AS ${f}`).join(", ")}
  FROM usage_sums
  WHERE environment = $environment AND (day, tenant, key_id, model) > ($day, $tenant, $keyId, $model) AND day <= $toDay
  ORDER BY day, tenant, key_id, model LIMIT $limit`;

export function usageRowOf({ keyId, ...row }: UsageTableRow): UsageRow {
  return { ...row, ...(keyId !== "" && { keyId }) };
}

function usageOf(attempt: UsedAttempt, end?: AttemptEnd): UsageSums {
  const { n, reserved_input: input, reserved_output: output, reserved_nano_usd: nanoUsd } = attempt;
  const reserved = { input, output };
  return usageOfAttempt({ n, reserved, ...(nanoUsd !== null && { reservedNanoUsd: nanoUsd }), ...(end && { end }) });
}
