// Reads what AWS says about an account in a Region: its quotas in Service Quotas, lifecycles of models, and Bedrock's
// inference profiles. Not for hot paths: both services answer slowly and throttle early.
import { BedrockClient, GetFoundationModelCommand, paginateListInferenceProfiles } from "@aws-sdk/client-bedrock";
import {
  paginateListAWSDefaultServiceQuotas,
  paginateListServiceQuotas,
  type ServiceQuota,
  ServiceQuotasClient,
} from "@aws-sdk/client-service-quotas";
import type { AccountSettings } from "../config/settings.ts";
import { CredentialsError, credentialsFor } from "../providers/bedrock/bedrock-credentials.ts";
import { redact } from "../providers/redact.ts";
import { bareId, parseQuotaName, type QuotaName } from "./names.ts";

/** A row of Service Quotas that limits calls. */
export interface ListedQuota extends QuotaName {
  /** Name of the row in Service Quotas. */
  name: string;
  code: string;
  /** The account's current value. Absent if AWS lists the default only. */
  applied?: number;
  default?: number;
  /** The applied value, or else the default. */
  value: number;
}

/** Lifecycle of a model, as Bedrock reports it. Days are `YYYY-MM-DD` in UTC. */
export interface Lifecycle {
  status: "ACTIVE" | "LEGACY";
  legacySince?: string;
  endOfLife?: string;
}

/** Replaces AWS's own addresses and the account's credentials, for the built-in simulator. */
export interface AwsEndpoint {
  endpoint: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
}

/** Reads facts of one account in one Region from AWS. */
export interface AccountReader {
  /** Returns the rows that limit calls of models. @throws an Error whose message says what to do */
  listQuotas(signal: AbortSignal): Promise<ListedQuota[]>;
  /** Returns the lifecycle of a model. @throws an Error whose message says what to do */
  lifecycle(modelId: string, signal: AbortSignal): Promise<Lifecycle>;
  /** Returns the IDs of all inference profiles. @throws an Error whose message says what to do */
  listProfiles(signal: AbortSignal): Promise<string[]>;
  close(): void;
}

/** Attempts of the SDK per request. With pages of 100 rows, the second or third page is often throttled. */
const maxAttempts = 6;
const pageSize = 100;

/** Creates a reader. Call `close` when it is no longer needed. */
export function openAccountReader(
  region: string,
  account: AccountSettings | undefined,
  awsEndpoint?: AwsEndpoint,
): AccountReader {
  const config = { region, maxAttempts, ...(awsEndpoint ?? credentialsFor(account)) };
  const quotasClient = new ServiceQuotasClient(config);
  const bedrockClient = new BedrockClient(config);
  const explain = (action: string) => (error: unknown) => {
    throw new Error(explanation(error, action, region));
  };

  return {
    async listQuotas(signal) {
      const applied = await collect(
        paginateListServiceQuotas(
          { client: quotasClient, pageSize },
          { ServiceCode: "bedrock" },
          { abortSignal: signal },
        ),
        (page) => page.Quotas,
      ).catch(explain("servicequotas:ListServiceQuotas"));
      const defaults = await collect(
        paginateListAWSDefaultServiceQuotas(
          { client: quotasClient, pageSize },
          { ServiceCode: "bedrock" },
          { abortSignal: signal },
        ),
        (page) => page.Quotas,
      ).catch(explain("servicequotas:ListAWSDefaultServiceQuotas"));
      return merge(applied, defaults);
    },

    async lifecycle(modelId, signal) {
      const command = new GetFoundationModelCommand({ modelIdentifier: bareId(modelId) });
      const answer = await bedrockClient
        .send(command, { abortSignal: signal })
        .catch(explain("bedrock:GetFoundationModel"));
      const { status, legacyTime, endOfLifeTime } = answer.modelDetails?.modelLifecycle ?? {};
      return {
        status: status === "LEGACY" ? "LEGACY" : "ACTIVE",
        ...(legacyTime && { legacySince: day(legacyTime) }),
        ...(endOfLifeTime && { endOfLife: day(endOfLifeTime) }),
      };
    },

    async listProfiles(signal) {
      const profiles = await collect(
        paginateListInferenceProfiles({ client: bedrockClient, pageSize }, {}, { abortSignal: signal }),
        (page) => page.inferenceProfileSummaries,
      ).catch(explain("bedrock:ListInferenceProfiles"));
      return profiles.flatMap(({ inferenceProfileId }) => inferenceProfileId ?? []);
    },

    close() {
      quotasClient.destroy();
      bedrockClient.destroy();
    },
  };
}

async function collect<P, T>(pages: AsyncIterable<P>, itemsOf: (page: P) => T[] | undefined): Promise<T[]> {
  const items: T[] = [];
  for await (const page of pages) items.push(...(itemsOf(page) ?? []));
  return items;
}

/** Merges both lists. AWS lists some quotas among the defaults only, until they are changed for the account. */
function merge(applied: ServiceQuota[], defaults: ServiceQuota[]): ListedQuota[] {
  const byCode = new Map<string, { name: string; applied?: number; default?: number }>();
  for (const { QuotaCode, QuotaName, Value } of defaults) {
    if (QuotaCode && QuotaName && Value !== undefined) byCode.set(QuotaCode, { name: QuotaName, default: Value });
  }
  for (const { QuotaCode, QuotaName, Value } of applied) {
    if (QuotaCode && QuotaName && Value !== undefined) {
      byCode.set(QuotaCode, { ...byCode.get(QuotaCode), name: QuotaName, applied: Value });
    }
  }
  return [...byCode].flatMap(([code, row]) => {
    const parsed = parseQuotaName(row.name);
    return parsed ? [{ ...parsed, ...row, code, value: (row.applied ?? row.default)! }] : [];
  });
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

type SdkError = Error & { code?: string; $metadata?: { httpStatusCode?: number } };

function explanation(error: unknown, action: string, region: string): string {
  if (error instanceof CredentialsError) {
    const onlyKey = process.env.AWS_BEARER_TOKEN_BEDROCK && action.startsWith("servicequotas");
    return onlyKey
      ? `${action} needs AWS credentials: the key in AWS_BEARER_TOKEN_BEDROCK works for Bedrock only.`
      : error.message;
  }
  const { name, message, code, $metadata } = error as SdkError;
  if (name === "AbortError" || name === "TimeoutError") return `${action} did not answer in time.`;
  if (code === "ENOTFOUND")
    return `${action} cannot be reached: ${region} does not have the service, or there is no network.`;
  if (code !== undefined) return `${action} cannot be reached: ${code}.`;
  if (/^accessdenied/i.test(name) || $metadata?.httpStatusCode === 403) {
    return `${action} was refused (${name}). Grant this permission to the credentials that Sluice uses, or check them with: aws sts get-caller-identity.`;
  }
  return `${action} failed: ${name}: ${redact(message)}`;
}
