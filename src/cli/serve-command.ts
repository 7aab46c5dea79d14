// sluice serve, sluice api and sluice worker: the whole service, or one of its roles.
import { Command, Option } from "commander";
import { endpointIn } from "../config/endpoints.ts";
import { noticesOf } from "../config/lifecycle.ts";
import type { DeploymentSettings, Settings } from "../config/settings.ts";
import { systemClock } from "../domain/clock.ts";
import { SluiceError } from "../domain/errors.ts";
import type { Service } from "../service/start-service.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { stopOnSignal } from "./stop-signals.ts";

interface ServeOptions {
  config?: string;
  host?: string;
  port?: string;
  dataDir?: string;
  logLevel?: string;
  environment?: string;
  database?: string;
}

export function serveCommand(): Command {
  return new Command("serve")
    .description("Run the service: HTTP API, queue and workers in one process.")
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it is there)")
    .option("--host <address>", "address to listen on (HOST; default: 127.0.0.1)")
    .option("--port <port>", "port to listen on, 0 for any free one (PORT; default: 8000)")
    .option("--data-dir <folder>", "folder with the SQLite files (SLUICE_DATA_DIR; default: data)")
    .option("--log-level <level>", "trace, debug, info, warn, error or silent (SLUICE_LOG_LEVEL; default: info)")
    .addHelpText(
      "after",
      `
Without AWS credentials and without a configuration file, the built-in simulator
answers with synthetic text. The first SIGTERM or SIGINT lets running calls end;
a second one exits at once. SIGHUP reads the configuration again.

Examples:
  sluice serve
  AWS_PROFILE=work sluice serve --config sluice.yaml --port 9999`,
    )
    .action((args: ServeOptions) => run("all", args));
}

export function apiCommand(): Command {
  return new Command("api")
    .description("Run the HTTP API alone, next to workers. Needs MONGODB_URL and REDIS_URL.")
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it is there)")
    .option("--host <address>", "address to listen on (HOST; default: 127.0.0.1)")
    .option("--port <port>", "port to listen on, 0 for any free one (PORT; default: 8000)")
    .option("--log-level <level>", "trace, debug, info, warn, error or silent (SLUICE_LOG_LEVEL; default: info)")
    .addHelpText(
      "after",
      "\nExamples:\n  sluice api --port 8001\n  sluice api --host 0.0.0.0 --config /etc/sluice.yaml",
    )
    .action((args: ServeOptions) => run("api", args));
}

export function workerCommand(): Command {
  return new Command("worker")
    .description("Run jobs, without an HTTP API. Needs MONGODB_URL and REDIS_URL.")
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it is there)")
    .option("--environment <name>", "run the jobs of this environment only, such as UAT")
    .addOption(
      new Option("--database <name>", "the same, chosen by its database, such as SSP-dev").conflicts("environment"),
    )
    .option("--log-level <level>", "trace, debug, info, warn, error or silent (SLUICE_LOG_LEVEL; default: info)")
    .addHelpText(
      "after",
      "\nExamples:\n  sluice worker\n  sluice worker --environment UAT\n  sluice worker --database SSP-dev",
    )
    .action((args: ServeOptions) => run("worker", args));
}

async function run(role: Settings["role"], { environment, database, ...args }: ServeOptions): Promise<void> {
  let service: Service | undefined;
  // Before the start, so that a signal during the start is not lost. There is nothing to drain then.
  stopOnSignal(async () => service?.stop(), exitCodes.ok);
  // On Node 20, the SDK prints eight lines about versions after 2026. The lock file decides which version runs.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  // Without a listener, SIGHUP would end the process. The log has the result of the reload.
  process.on("SIGHUP", () => service?.reload?.().catch(() => {}));
  // Loaded only here, because it takes half a second that other commands need not wait.
  const { loadSettings } = await import("../config/load.ts");
  const options = { env: process.env, cwd: process.cwd(), args, role, only: { environment, database } };
  const readSettings = () => loadSettings({ ...options, refuseEmpty: true });
  const settings = await loadSettings(options);
  const { startService } = await import("../service/start-service.ts");
  service = await startService(settings, { readSettings }).catch((error: unknown) => {
    throw explainStart(error, settings);
  });
  console.log(banner(settings, service));
}

function banner(settings: Settings, service: Service): string {
  const models = Object.keys(settings.models).map((name) =>
    name === settings.defaultModel ? `${name} (default)` : name,
  );
  const answers = settings.simulator
    ? "THE BUILT-IN SIMULATOR: all text is synthetic. With AWS credentials, Bedrock answers."
    : whoAnswers(Object.values(settings.models).flatMap((m) => m.deployments));
  const databases = [...new Set(Object.values(settings.environments).map(({ database }) => database))];
  const data = settings.distributed ? `MongoDB (${databases.join(", ")}), queue in Redis` : settings.dataDir;
  return [
    service.url ? `Sluice is ready on ${service.url}` : "A worker of Sluice is ready",
    ...(service.url && settings.dashboard ? [`  Dashboard      ${service.url}/ui/`] : []),
    ...(service.url ? [`  API docs       ${service.url}/docs`] : []),
    ...(service.metricsUrl ? [`  Metrics        ${service.metricsUrl}`] : []),
    `  Data           ${data}`,
    `  Configuration  ${settings.source}`,
    `  Models         ${models.join(", ")}`,
    ...(settings.role === "worker" ? [`  Runs jobs of   ${settings.runs.join(", ")}`] : []),
    ...(settings.role === "api" ? [] : [`  Answers        ${answers}`]),
    ...accessLines(settings, service),
    ...attention(settings, service, systemClock.wall()).map((line) => `  Attention      ${line}`),
  ].join("\n");
}

/** Returns a text such as `Amazon Bedrock (us-east-1); OpenAI-compatible: 127.0.0.1:11434`, with endpoints that replace Bedrock's. */
function whoAnswers(deployments: DeploymentSettings[]): string {
  const bedrock = deployments.filter((d) => d.provider === "bedrock");
  const regions = bedrock.map((d) => d.region);
  const endpoints = bedrock.flatMap((d) => d.endpoint ?? endpointIn(process.env) ?? []);
  const hosts = deployments.flatMap((d) => (d.openai ? [new URL(d.openai.baseUrl).host] : []));
  const names = (list: string[]) => [...new Set(list)].join(", ");
  return [
    ...(regions.length > 0
      ? [`Amazon Bedrock (${names(regions)})${endpoints.length > 0 ? ` at ${names(endpoints)}` : ""}`]
      : []),
    ...(hosts.length > 0 ? [`OpenAI-compatible: ${names(hosts)}`] : []),
  ].join("; ");
}

/** Returns one line per model, even if several deployments have the same problem. */
function attention(settings: Settings, { queueUnavailable }: Service, now: number): string[] {
  const unavailable = queueUnavailable === undefined ? [] : [`${queueUnavailable} No job runs until then.`];
  if (settings.simulator) return unavailable;
  return [...unavailable, ...new Set(noticesOf(settings, now).map(({ model, message }) => `${model}: ${message}`))];
}

function accessLines({ authentication, role }: Settings, { firstKey }: Service): string[] {
  if (role !== "worker" && authentication === "off") {
    return [
      "  Access         WITHOUT API KEYS (SLUICE_AUTH=off): every caller that reaches the address may do everything.",
    ];
  }
  if (!firstKey) return [];
  return [
    `  Admin key      ${firstKey}`,
    "                 There was no API key, so Sluice created this one. It is shown only once. Calls send it as",
    "                 Authorization: Bearer KEY, commands as SLUICE_API_KEY; `sluice keys create` creates others.",
  ];
}

function explainStart(error: unknown, settings: Settings): unknown {
  // For example, that the disk of the store is full.
  if (error instanceof SluiceError && error.code !== "internal") return new CommandError(error.message);
  const { name, code, syscall, message, port: tried } = error as NodeJS.ErrnoException & { port?: number };
  const isForMetrics = settings.metrics.port !== undefined && tried === settings.metrics.port;
  const { host, port = 0 } = isForMetrics ? settings.metrics : settings;
  const variables = isForMetrics ? ["SLUICE_METRICS_HOST", "SLUICE_METRICS_PORT"] : ["HOST", "PORT"];
  // These messages say what is wrong and what to do.
  if (name === "StoreOpenError" || name === "RedisRefusedError") return new CommandError(message);
  if (code === "EADDRINUSE") {
    return new CommandError(
      `Port ${port} on ${host} is in use, perhaps by another Sluice. Stop that process, or choose another port with ${variables[1]}.`,
    );
  }
  if (syscall === "listen" || syscall === "getaddrinfo") {
    return new CommandError(`Cannot listen on ${host}, port ${port} (${variables.join(", ")}): ${message}`);
  }
  return error;
}
