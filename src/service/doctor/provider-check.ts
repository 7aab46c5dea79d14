// The checks of what answers: credentials, access to models, and quotas.
import { chooseProvider } from "../../config/aws-credentials.ts";
import { ConfigError } from "../../config/config-problems.ts";
import { endpointIn } from "../../config/endpoints.ts";
import type { Environment } from "../../config/environment.ts";
import { checkApiKeys, readApiKey } from "../../config/openai-deployment.ts";
import type { DeploymentSettings, ModelSettings, OpenAiSettings, Settings } from "../../config/settings.ts";
import { compareQuotas, type DeploymentComparison, type QuotaComparison } from "../../discovery/comparison.ts";
import { systemClock } from "../../domain/clock.ts";
import { createProvider } from "../deployment-providers.ts";
import { clockFinding, type Finding, fix, note, ok, skip } from "./findings.ts";

const accountWithinMs = 20_000;
const serverWithinMs = 5_000;
const callWithinMs = 60_000;

export interface ProviderCheckOptions {
  env: Environment;
  /** Makes one call of one token to each deployment. It costs a little. */
  callModels: boolean;
}

export async function checkProviders(settings: Settings, options: ProviderCheckOptions): Promise<Finding[]> {
  const deployments = Object.values(settings.models).flatMap((model) =>
    model.deployments.map((deployment) => ({ model, deployment })),
  );
  const credentials = await checkCredentials(settings, options.env);
  if (credentials.simulator || credentials.finding.status === "fix") {
    const why = credentials.simulator ? "The simulator answers." : "The credentials come first.";
    return [credentials.finding, skip("model access", why), skip("quotas", why)];
  }
  const comparison = await compareQuotas(settings, { withinMs: accountWithinMs, learned: new Map() });
  const refused = comparison.deployments.flatMap(({ notes }) => notes).find((text) => wrongCredentials.test(text));
  const first = refused
    ? fix("credentials", `AWS refuses the credentials: ${refused} Renew them, or choose others with AWS_PROFILE.`)
    : credentials.finding;
  const servers = await Promise.all(
    deployments.flatMap(({ deployment }) =>
      deployment.openai ? [checkServer(deployment, deployment.openai, options.env)] : [],
    ),
  );
  const clocks = await Promise.all(
    clockHosts(
      deployments.map(({ deployment }) => deployment),
      options.env,
    ).map(checkClock),
  );
  const calls = options.callModels
    ? await Promise.all(deployments.map(({ model, deployment }) => callModel(settings, model, deployment, options.env)))
    : [
        skip(
          "model call",
          "No call was made. --call-models makes one call of one token to each deployment, which costs a little.",
        ),
      ];
  const listed = refused
    ? []
    : comparison.deployments.flatMap((each) => [...accessFindings(each), ...quotaFindings(each)]);
  return [first, ...clocks.flat(), ...listed, ...servers, ...calls];
}

/** Returns the addresses of Bedrock that the deployments call, each once. */
function clockHosts(deployments: readonly DeploymentSettings[], env: Environment): string[] {
  const addresses = deployments
    .filter(({ provider }) => provider === "bedrock")
    .map(({ endpoint, region }) => endpoint ?? endpointIn(env) ?? `https://bedrock-runtime.${region}.amazonaws.com`);
  return [...new Set(addresses)];
}

/** Compares this machine's clock with the date of an answer, which has whole seconds. */
async function checkClock(address: string): Promise<Finding[]> {
  const answer = await fetch(address, { method: "HEAD", signal: AbortSignal.timeout(serverWithinMs) }).catch(
    () => undefined,
  );
  const date = Date.parse(answer?.headers.get("date") ?? "");
  if (Number.isNaN(date)) return [skip("bedrock clock", `${address} did not answer, so its clock was not compared.`)];
  return [clockFinding("bedrock clock", new URL(address).host, date + 500 - Date.now())];
}

// ---------------------------------------------------------------- credentials

/** Names of AWS for keys that it does not know, that are expired, or whose secret is wrong. */
const wrongCredentials =
  /UnrecognizedClient|InvalidClientTokenId|InvalidSignature|SignatureDoesNotMatch|ExpiredToken|IncompleteSignature|No AWS credentials|gives no credentials|cannot be assumed/;

async function checkCredentials(
  settings: Settings,
  env: Environment,
): Promise<{ finding: Finding; simulator: boolean }> {
  const deployments = Object.values(settings.models).flatMap((model) => model.deployments);
  const bedrock = deployments.filter((d) => d.provider === "bedrock");
  try {
    const provider = await chooseProvider({
      env,
      host: settings.host,
      hasFile: settings.source !== "defaults",
      hasEndpoint: deployments.some((d) => d.endpoint !== undefined),
      needsCredentials: bedrock.some((d) => !d.account?.profile),
    });
    if (provider === "simulator") {
      return {
        simulator: true,
        finding: ok("credentials", "The built-in simulator answers, which needs no credentials."),
      };
    }
    checkApiKeys(settings, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { simulator: false, finding: fix("credentials", error.message) };
  }
  const text = bedrock.length > 0 ? "AWS credentials were found." : "Every key that the configuration names is set.";
  return { simulator: false, finding: ok("credentials", text) };
}

// ---------------------------------------------------------------- Bedrock's account

function accessFindings({
  deployment,
  lifecycle,
  profileExists,
  region,
  modelId,
  notes,
}: DeploymentComparison): Finding[] {
  const check = `model ${deployment}`;
  if (profileExists === false) {
    return [
      fix(check, `There is no inference profile ${modelId} in ${region}. Check modelId and region of the deployment.`),
    ];
  }
  if (lifecycle?.status === "LEGACY") {
    const end = lifecycle.endOfLife === undefined ? "" : ` and ends on ${lifecycle.endOfLife}`;
    return [note(check, `The model is Legacy${end}. Plan a move to another model.`)];
  }
  if (lifecycle) return [ok(check, "The model exists and is active.")];
  const unknown = notes.find((text) => /GetFoundationModel|ListInferenceProfiles/.test(text));
  return [skip(check, `Not checked: ${unknown ?? "AWS did not answer."}`)];
}

function quotaFindings({ deployment, quotas, notes, region }: DeploymentComparison): Finding[] {
  const check = `quotas ${deployment}`;
  const known = quotas.filter(({ configured, listed }) => configured !== undefined && listed !== undefined);
  const tooHigh = known.filter(({ configured, listed }) => configured !== "auto" && configured! > listed!);
  if (tooHigh.length > 0) {
    return [
      fix(
        check,
        `${tooHigh.map(describeLimit).join("; ")}. Calls above the account's limit are throttled. Lower the limits with: sluice quotas --write --region ${region}, or ask AWS for more.`,
      ),
    ];
  }
  const lower = known.filter(({ configured, listed }) => configured !== "auto" && configured! < listed!);
  if (lower.length > 0) {
    return [note(check, `${lower.map(describeLimit).join("; ")}. To use all of it: sluice quotas --write.`)];
  }
  if (known.length > 0) return [ok(check, "The configured limits are those that AWS lists.")];
  return [skip(check, `Not checked: ${notes[0] ?? "AWS lists no quota for this model."}`)];
}

function describeLimit({ unit, per, configured, listed }: QuotaComparison): string {
  return `${unit} per ${per}: ${configured} configured, ${listed} listed by AWS`;
}

// ---------------------------------------------------------------- servers with OpenAI's API

async function checkServer(deployment: DeploymentSettings, server: OpenAiSettings, env: Environment): Promise<Finding> {
  const check = `model ${deployment.id}`;
  const key = readApiKey(server, env);
  const where = `the server at ${server.baseUrl}`;
  try {
    const answer = await fetch(`${server.baseUrl}/models`, {
      headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(serverWithinMs),
    });
    if (answer.status === 401 || answer.status === 403) {
      const next = server.apiKeyEnv ? `Check the key in ${server.apiKeyEnv}` : "Set apiKeyEnv of the deployment";
      return fix(check, `${capital(where)} refuses the key with ${answer.status}. ${next}.`);
    }
    if (!answer.ok) return skip(check, `Not checked: ${where} answers ${answer.status} to GET /models.`);
    const { data = [] } = (await answer.json()) as { data?: { id?: string }[] };
    return data.some(({ id }) => id === deployment.modelId)
      ? ok(check, `${capital(where)} serves the model.`)
      : note(check, `${capital(where)} does not list ${deployment.modelId}. Check modelId, or load the model there.`);
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string } };
    return fix(check, `${capital(where)} cannot be reached (${cause?.code ?? message}). Start it, or correct baseUrl.`);
  }
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

// ---------------------------------------------------------------- --call-models

async function callModel(
  settings: Settings,
  model: ModelSettings,
  deployment: DeploymentSettings,
  env: Environment,
): Promise<Finding> {
  const check = `model call ${deployment.id}`;
  const provider = createProvider(settings, model, deployment, { env, clock: systemClock, simulator: undefined });
  try {
    await provider.call({
      request: { messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }], parameters: { maxTokens: 1 } },
      signal: AbortSignal.timeout(callWithinMs),
    });
    return ok(check, "The model answered a call of one token.");
  } catch (error) {
    // The adapter says what to do, where it knows.
    return fix(check, `The call failed: ${(error as Error).message}`);
  } finally {
    await provider.close();
  }
}
