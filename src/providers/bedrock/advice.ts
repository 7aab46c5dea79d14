// Advice about refusals that concern the model or how it is called, recognized by Bedrock's wording. The apostrophe in
// "isn't" and "doesn't" is sometimes a typographic one.

/** The deployment that the advice is about. */
export interface Deployment {
  region: string;
  modelId: string;
  endpoint?: string;
  /** Alias of a model to use instead if this one is Legacy or not accessible. */
  alternative?: string;
}

/** Returns advice for a refusal with a known wording, or undefined if there is none. */
export function adviceFor(message: string, deployment: Deployment): string | undefined {
  const { region, modelId } = deployment;

  if (/end of (its )?life/i.test(message)) return `${modelId} has been retired. ${insteadOf(deployment)}`;
  if (/\blegacy\b/i.test(message)) return `${modelId} is being retired. ${insteadOf(deployment)}`;
  if (/on-demand throughput isn.t supported/i.test(message)) {
    return `Set the deployment's modelId to an inference profile, such as us.${modelId}.`;
  }
  if (/model identifier is invalid/i.test(message)) {
    return `Check the deployment's modelId, ${modelId}, and that the model exists in ${region}.`;
  }
  if (/unsupported for streaming|doesn.t support streaming/i.test(message)) {
    return "Set streaming: false for the deployment.";
  }
  if (/tool use in streaming mode/i.test(message)) {
    return `Set streamingTools: false under catalogue.${modelId}, so that such calls are not streamed.`;
  }
  if (/access to .* models? is not allowed/i.test(message)) return insteadOf(deployment);
  if (/use case details/i.test(message)) {
    return "Submit the use case form of this model's provider in the Bedrock console. Access follows after some minutes.";
  }
  if (/maximum tokens you requested exceeds/i.test(message)) {
    return "Lower the job's max_tokens, or the model's maxOutputTokens in the configuration.";
  }
  return undefined;
}

/** Returns advice for a refusal with this status, whatever its wording, if the deployment is at fault. */
export function adviceOnAccess(status: number | undefined, deployment: Deployment): string {
  const { region, modelId } = deployment;
  if (status === 404) {
    return `Check the deployment's modelId, ${modelId}, and its region, ${region}. ${orElse(deployment)}`;
  }
  return (
    `Allow bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream on ${modelId} (for an inference profile: on ` +
    `the profile and on the model in each of its Regions), and check that the account has access to the model in ${region}. ` +
    orElse(deployment)
  );
}

function insteadOf({ alternative }: Deployment): string {
  return alternative === undefined
    ? "Configure another model."
    : `Use the model "${alternative}" instead: name it in the job, or make it the defaultModel.`;
}

/** Returns the same advice as an alternative that follows other advice. */
function orElse(deployment: Deployment): string {
  const sentence = insteadOf(deployment);
  return `Or ${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`;
}
