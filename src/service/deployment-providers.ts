// Creates the adapter of a deployment: Bedrock, a server with OpenAI's API, or the built-in simulator instead of
// either.
import type { Environment } from "../config/environment.ts";
import { readApiKey } from "../config/openai-deployment.ts";
import type { DeploymentSettings, ModelSettings, OpenAiSettings, Settings } from "../config/settings.ts";
import type { Clock } from "../domain/clock.ts";
import { createBedrockProvider } from "../providers/bedrock/bedrock-provider.ts";
import { createOpenAiProvider } from "../providers/openai/openai-provider.ts";
import type { Provider } from "../providers/provider.ts";
import type { SimulatorOptions } from "../simulator/options.ts";
import type { Simulator } from "../simulator/simulator.ts";

/** Credentials for the simulator, which requires a signature but does not check it. */
export const simulatorCredentials = { accessKeyId: "simulator", secretAccessKey: "simulator" };

export function createProvider(
  settings: Settings,
  model: ModelSettings,
  deployment: DeploymentSettings,
  { env, clock, simulator }: { env: Environment; clock: Clock; simulator: Simulator | undefined },
): Provider {
  return deployment.openai
    ? openAiProvider(settings, model, deployment, deployment.openai, clock, env, simulator)
    : bedrockProvider(settings, model, deployment, clock, simulator);
}

/** Returns the models that the simulator serves: all configured ones. */
export function simulatedModels(settings: Settings): SimulatorOptions["models"] {
  return Object.fromEntries(
    Object.values(settings.models).flatMap(({ contextTokens, maxOutputTokensLimit, deployments }) =>
      deployments.map(({ modelId, outputBurndown, streaming, traits: { streamingTools = true } }) => [
        modelId,
        { contextTokens, maxOutputTokens: maxOutputTokensLimit, outputBurndown, streaming, streamingTools },
      ]),
    ),
  );
}

function bedrockProvider(
  settings: Settings,
  model: ModelSettings,
  deployment: DeploymentSettings,
  clock: Clock,
  simulator: Simulator | undefined,
): Provider {
  const { region, account } = deployment;
  const endpoint = simulator?.url ?? deployment.endpoint;
  return createBedrockProvider({
    ...commonOptions(settings, model, deployment, clock),
    region,
    ...(endpoint !== undefined && { endpoint }),
    ...(account && { account }),
    ...(simulator && { credentials: simulatorCredentials }),
  });
}

function openAiProvider(
  settings: Settings,
  model: ModelSettings,
  deployment: DeploymentSettings,
  server: OpenAiSettings,
  clock: Clock,
  env: Environment,
  simulator: Simulator | undefined,
): Provider {
  const apiKey = simulator ? undefined : readApiKey(server, env);
  return createOpenAiProvider({
    ...server,
    ...commonOptions(settings, model, deployment, clock),
    ...(simulator && { baseUrl: `${simulator.url}/v1` }),
    ...(apiKey !== undefined && { apiKey }),
  });
}

/** Returns the options that every adapter has. */
function commonOptions(
  { timeouts }: Settings,
  { alternative }: ModelSettings,
  { modelId, streaming, traits, maxConcurrency }: DeploymentSettings,
  clock: Clock,
) {
  return {
    ...{ modelId, streaming, traits, timeouts, clock },
    maxSockets: maxConcurrency,
    ...(alternative !== undefined && { alternative }),
  };
}
