// Deployments and quotas in words. The service names them by ids such as `bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0`
// and `bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0:tokens/minute`.
import { unitOf } from "./format.ts";
import { snapshot } from "./live.ts";
import type { Deployment } from "./resources.ts";

/** Returns a deployment in words, such as `llama3-3-70b in us-east-1`. Returns the id if words would not tell it apart. */
export function deploymentWords(id: string): string {
  const deployments = snapshot.value?.deployments ?? [];
  const one = deployments.find((deployment) => deployment.id === id);
  const words = one && wordsOf(one);
  if (words === undefined || deployments.filter((other) => wordsOf(other) === words).length > 1) return id;
  return words;
}

function wordsOf({ id, region, account }: Deployment): string | undefined {
  const model = snapshot.value?.models.find(({ deployments }) => deployments.includes(id))?.name;
  return model && `${model} in ${region}${account === null ? "" : ` (${account})`}`;
}

/** Returns a quota in words, such as `tokens per minute of llama3-3-70b in us-east-1`, or the name that the operator gave it. */
export function quotaWords(name: string): string {
  const quota = snapshot.value?.quotas.find((one) => one.name === name);
  const owner = quota && snapshot.value?.deployments.find(({ id }) => name === `${id}:${quota.unit}/${quota.per}`);
  return owner ? `${unitOf(quota)} of ${deploymentWords(owner.id)}` : name;
}
