// How long a deployment's model remains available, and which doubts the catalogue has about a deployment. Reported at
// start and in GET /v1/deployments. The service starts anyway, because the catalogue may be older than the facts.
import { partsOf, rowOf } from "./catalogue.ts";
import type { DeploymentSettings, ModelSettings, Settings } from "./settings.ts";

/** State of a model's life on a day. */
export interface Lifecycle {
  /** `legacy`: closed to accounts that have not used it recently, and its quotas cannot be raised. */
  status: "active" | "legacy" | "end_of_life";
  /** Day in UTC, `YYYY-MM-DD`, on which the model becomes Legacy. */
  legacySince?: string;
  /** Day in UTC, `YYYY-MM-DD`, from which the model cannot be called any more. */
  endOfLife?: string;
}

/**
 * Returns the state of a deployment's model on a day.
 * @param now milliseconds since the epoch
 */
export function lifecycleOf({ traits }: Pick<DeploymentSettings, "traits">, now: number): Lifecycle {
  const { legacySince, endOfLife } = traits;
  const today = new Date(now).toISOString().slice(0, 10);
  const status =
    endOfLife !== undefined && endOfLife <= today
      ? "end_of_life"
      : // AWS announces an end of life for Legacy models only.
        legacySince !== undefined
        ? legacySince <= today
          ? "legacy"
          : "active"
        : endOfLife !== undefined
          ? "legacy"
          : "active";
  return { status, ...(legacySince && { legacySince }), ...(endOfLife && { endOfLife }) };
}

/** A message about a deployment for its operator. */
export interface Notice {
  model: string;
  deployment: string;
  message: string;
}

/**
 * Returns what an operator should know about the deployments before the first call fails.
 * @param now milliseconds since the epoch
 */
export function noticesOf(settings: Pick<Settings, "models">, now: number): Notice[] {
  return Object.entries(settings.models).flatMap(([model, { alternative, deployments }]) =>
    deployments.flatMap((deployment) => {
      const messages = [lifecycleNotice(deployment, alternative, now), ...doubtsOf(deployment)];
      return messages.flatMap((message) =>
        message === undefined ? [] : [{ model, deployment: deployment.id, message }],
      );
    }),
  );
}

function lifecycleNotice(
  deployment: DeploymentSettings,
  alternative: ModelSettings["alternative"],
  now: number,
): string | undefined {
  const { status, endOfLife } = lifecycleOf(deployment, now);
  if (status === "active") return undefined;
  const instead = alternative ? ` Its configured alternative is ${alternative}.` : " No alternative is configured.";
  if (status === "end_of_life") {
    return `${deployment.modelId} reached its end of life on ${endOfLife}; calls will be refused.${instead}`;
  }
  const until = endOfLife ? `, end of life on ${endOfLife}` : "";
  return `${deployment.modelId} is Legacy${until}; accounts that have not used it recently cannot call it.${instead}`;
}

/** How the names of the calling Regions begin, by the prefix of a geographic profile. */
const callersOf: Record<string, string[]> = {
  us: ["us-", "ca-"],
  eu: ["eu-"],
  apac: ["ap-"],
  au: ["ap-southeast-"],
  jp: ["ap-northeast-"],
  ca: ["ca-"],
  "us-gov": ["us-gov-"],
};

/** Returns the reasons for which Bedrock may refuse every call, as far as the catalogue knows. */
function doubtsOf({ provider, modelId, region, traits, endpoint }: DeploymentSettings): string[] {
  // Another endpoint may serve what AWS does not.
  if (provider !== "bedrock" || endpoint !== undefined) return [];
  const { bare, prefix } = partsOf(modelId);
  const row = rowOf(bare);
  const doubts: string[] = [];
  if (row.mantleOnly) {
    doubts.push(`${modelId} is known to be served only by the endpoint bedrock-mantle, which Sluice does not call.`);
  }
  if (prefix === undefined && row.onDemand === false && !modelId.startsWith("arn:")) {
    const profiles = row.profiles?.map((p) => `${p}.${bare}`).join(", ");
    doubts.push(
      `${modelId} is known to be callable only through an inference profile${profiles ? `: ${profiles}` : ""}.`,
    );
  }
  if (prefix !== undefined && row.profiles && !row.profiles.includes(prefix)) {
    doubts.push(
      `${modelId} is not a known profile; known profiles: ${row.profiles.map((p) => `${p}.${bare}`).join(", ")}.`,
    );
  }
  const callers = prefix === undefined ? undefined : callersOf[prefix];
  if (callers && !callers.some((start) => region.startsWith(start))) {
    doubts.push(`${modelId} cannot be called from ${region}: the profile belongs to another geography.`);
  } else if (traits.regions && !traits.regions.includes(region)) {
    doubts.push(`${modelId} is known only in ${traits.regions.join(", ")}, not in ${region}.`);
  }
  return doubts;
}
