// Stores the secrets that sign webhooks: one for each tenant, created when first needed. Each is a record under the
// tenant and a number, and the first insert wins, so that all processes sign with the same one. For a day, a new secret
// signs together with the previous one, so that receivers can change over.
import { createHash, randomBytes } from "node:crypto";
import { numberKey, serviceCollection } from "../../store/collection.ts";
import { type AuditContext, audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";

type Context = Pick<JobsContext, "store" | "clock">;

export interface WebhookSecret {
  /** `whsec_` and 32 random bytes in base64, as the Standard Webhooks specification defines. */
  secret: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
}

export interface TenantSecrets {
  current: WebhookSecret;
  /** The previous secret and the time until which it signs too. Absent if there is none. */
  previous?: WebhookSecret & { until: number };
}

interface Stored extends WebhookSecret {
  tenant: string;
  number: number;
}

/** By a hash of the tenant, and the number of the secret. */
const secrets = serviceCollection<Stored>({ stored: "webhook_secrets" });
const overlapMs = 24 * 3_600_000;

/** Returns the secrets of a tenant. Creates the first one if there is none. */
export async function tenantSecrets(context: Context, tenant: string): Promise<TenantSecrets> {
  const [latest, before] = await latestOf(context, tenant);
  if (!latest) {
    await insert(context, tenant, 1);
    return tenantSecrets(context, tenant);
  }
  const { secret, createdAt } = latest;
  const until = createdAt + overlapMs;
  const overlaps = before !== undefined && context.clock.wall() < until;
  return {
    current: { secret, createdAt },
    ...(overlaps && { previous: { secret: before.secret, createdAt: before.createdAt, until } }),
  };
}

/** Creates a new secret for the caller's tenant. The previous one signs for another day, and older ones no longer sign. */
export function rotateSecret(context: Context & AuditContext, caller: Caller): Promise<TenantSecrets> {
  const { tenant } = caller;
  return audited(context, caller, "webhook_secret.rotate", { target: { type: "tenant", id: tenant } }, async () => {
    const { number = 0 } = (await latestOf(context, tenant))[0] ?? {};
    // If another process was first, its secret is the new one.
    await insert(context, tenant, number + 1);
    return tenantSecrets(context, tenant);
  });
}

/** Returns the last two secrets, latest first. */
async function latestOf({ store }: Context, tenant: string): Promise<Stored[]> {
  const latest = await secrets(store).list(2, { prefix: `${hashOf(tenant)}/`, descending: true });
  return latest.map(({ value }) => value);
}

async function insert({ store, clock }: Context, tenant: string, number: number): Promise<void> {
  const secret = `whsec_${randomBytes(32).toString("base64")}`;
  const value: Stored = { tenant, number, secret, createdAt: clock.wall() };
  await secrets(store).insert({ id: `${hashOf(tenant)}/${numberKey(number, 8)}`, value });
}

/** Returns a hash of the tenant, because its name may contain characters that a record's key may not. */
function hashOf(tenant: string): string {
  return createHash("sha256").update(tenant).digest("hex");
}
