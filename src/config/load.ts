// Reads the configuration: command line over environment over file over defaults. No other module does.
import { readFile } from "node:fs/promises";
import { resolve as resolvePath } from "node:path";
import { LineCounter, parseDocument } from "yaml";
import type { TokenPrices } from "../domain/money.ts";
import { parseNetwork } from "../domain/networks.ts";
import { problemFinder } from "../schema/problems.ts";
import { checkMongoUrl, checkRedisUrl } from "./addresses.ts";
import { chooseProvider } from "./aws-credentials.ts";
import { ConfigError, formatPath, maskText, type Path, type Problem, showValue } from "./config-problems.ts";
import { type FileSettings, fileSchema } from "./config-schema.ts";
import { checkEndpoints } from "./endpoints.ts";
import { type Environment, readVariable, type VariableName } from "./environment.ts";
import { checkApiKeys } from "./openai-deployment.ts";
import { resolve } from "./resolve.ts";
import type { Settings } from "./settings.ts";

/** Where the configuration comes from, and what the process needs of it. */
export interface LoadOptions {
  env: Environment;
  /** Folder that relative paths start from. */
  cwd: string;
  /** Values from the command line. */
  args?: { config?: string; host?: string; port?: string; dataDir?: string; logLevel?: string };
  /** What the process does. Only a process that runs jobs needs credentials. Default: all. */
  role?: Settings["role"] | "none";
  /**
   * Whether to refuse a file without content, because a program may still be writing it. Default: false, and an empty
   * file means the defaults.
   */
  refuseEmpty?: boolean;
  /** Environments whose jobs a worker runs, by name or by database. Default: all. */
  only?: { environment?: string; database?: string };
}

/** Returns every way in which a file violates the schema. */
const findProblems = problemFinder(fileSchema, maskText);

/**
 * Loads, checks and resolves the configuration.
 * @throws ConfigError that names every mistake found
 */
export async function loadSettings(options: LoadOptions): Promise<Settings> {
  const { env, cwd, args = {}, role = "all", only, refuseEmpty = false } = options;
  const file = await readFileSettings(env, cwd, args.config, refuseEmpty);
  const merged = override(file.content, env, args);
  // Mistakes of form come first: rules between keys only make sense for keys that are valid by themselves.
  const form = findProblems(merged.value);
  if (form.length > 0) throw configError(form, file, merged.origins);
  const { settings, problems } = resolve(merged.value as FileSettings);
  if (problems.length > 0) throw configError(problems, file, merged.origins);
  const distributed = readBackends(env, role);
  const runs = environmentsToRun(settings.environments, only);
  const callsModels = role === "all" || role === "worker";
  const deployments = Object.values(settings.models).flatMap((model) => model.deployments);
  if (callsModels && deployments.some((d) => d.provider === "bedrock")) checkEndpoints(env);
  const simulator =
    callsModels &&
    "simulator" ===
      (await chooseProvider({
        env,
        host: settings.host,
        hasFile: file.name !== undefined,
        hasEndpoint: deployments.some((d) => d.endpoint !== undefined),
        needsCredentials: deployments.some((d) => d.provider === "bedrock" && !d.account?.profile),
      }));
  if (callsModels && !simulator) checkApiKeys(settings, env);
  const { archive } = settings.retention;
  const complete: Settings = {
    source: file.name ?? "defaults",
    ...settings,
    dataDir: resolvePath(cwd, settings.dataDir),
    ...(archive !== undefined && { retention: { ...settings.retention, archive: resolvePath(cwd, archive) } }),
    role: role === "none" ? "all" : role,
    runs,
    ...(distributed && { distributed }),
    authentication: readAuthentication(env),
    ...readMetricsKey(env),
    ...readDashboard(env),
    simulator,
  };
  return complete.simulator ? markSynthetic(complete) : complete;
}

function readAuthentication(env: Environment): Settings["authentication"] {
  const value = readVariable(env, "SLUICE_AUTH") ?? "keys";
  if (value === "keys" || value === "off") return value;
  throw new ConfigError(`SLUICE_AUTH must be one of keys, off; got ${showValue(value)}`);
}

/** Shorter keys can be guessed. Headers cannot carry other characters. */
const metricsKeyForm = /^[\x21-\x7e]{16,200}$/;

function readMetricsKey(env: Environment): Pick<Settings, "metricsKey"> {
  const metricsKey = readVariable(env, "SLUICE_METRICS_KEY");
  if (metricsKey === undefined) return {};
  if (metricsKeyForm.test(metricsKey)) return { metricsKey };
  throw new ConfigError("SLUICE_METRICS_KEY must have 16 to 200 printable ASCII characters without spaces.");
}

function readDashboard(env: Environment): Pick<Settings, "dashboard" | "publicUrl"> {
  const value = readVariable(env, "SLUICE_UI") ?? "on";
  if (value !== "on" && value !== "off") throw new ConfigError(`SLUICE_UI must be on or off; got ${showValue(value)}`);
  const publicUrl = readVariable(env, "SLUICE_PUBLIC_URL");
  if (publicUrl !== undefined && !/^https?:\/\/[^\s@/?#]+(?:\/[A-Za-z0-9._~-]+)*\/?$/.test(publicUrl)) {
    throw new ConfigError(
      "SLUICE_PUBLIC_URL must be an http:// or https:// address without a user name or query, such as " +
        `https://example.com/sluice; got ${showValue(publicUrl)}`,
    );
  }
  return { dashboard: value === "on", ...(publicUrl !== undefined && { publicUrl }) };
}

/**
 * Returns the addresses of MongoDB and Redis, or undefined if neither is set.
 * @throws ConfigError if only one is set, or if the role needs both
 */
function readBackends(env: Environment, role: LoadOptions["role"]): Settings["distributed"] {
  const mongoUrl = readVariable(env, "MONGODB_URL");
  const redisUrl = readVariable(env, "REDIS_URL");
  if (mongoUrl && redisUrl) {
    checkMongoUrl("MONGODB_URL", mongoUrl);
    checkRedisUrl("REDIS_URL", redisUrl);
    return { mongoUrl, redisUrl };
  }
  if (mongoUrl || redisUrl) {
    const [set, missing] = mongoUrl ? ["MONGODB_URL", "REDIS_URL"] : ["REDIS_URL", "MONGODB_URL"];
    throw new ConfigError(
      `${set} is set, but ${missing} is not. Set both to share the record and the queue between processes (MongoDB and Redis), ` +
        "or neither to keep them in this process (SQLite and memory).",
    );
  }
  if (role === "api" || role === "worker") {
    throw new ConfigError(
      `A process that is only ${role === "api" ? "an API" : "a worker"} shares its record and queue with others. Set MONGODB_URL ` +
        "and REDIS_URL, or run everything in one process with `sluice serve`.",
    );
  }
  return undefined;
}

function environmentsToRun(environments: Settings["environments"], only: LoadOptions["only"]): string[] {
  const names = Object.keys(environments);
  if (only?.environment !== undefined) {
    if (Object.hasOwn(environments, only.environment)) return [only.environment];
    throw new ConfigError(`--environment must be one of ${names.join(", ")}; got ${showValue(only.environment)}.`);
  }
  if (only?.database !== undefined) {
    const found = names.filter((name) => environments[name]!.database === only.database);
    if (found.length > 0) return found;
    const known = [...new Set(names.map((name) => environments[name]!.database))];
    throw new ConfigError(`--database must be one of ${known.join(", ")}; got ${showValue(only.database)}.`);
  }
  return names;
}

const free: TokenPrices = {
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite: 0,
  cacheWriteHour: 0,
  tiers: { priority: 1, flex: 1 },
};

/**
 * Marks the deployments as simulated and free of charge. Every answer carries the deployment's id, so it shows that the
 * text is synthetic.
 */
function markSynthetic(settings: Settings): Settings {
  for (const model of Object.values(settings.models)) {
    for (const deployment of model.deployments) {
      const id = deployment.id.replace(/^[^/]+/, "simulator");
      for (const quota of deployment.quotas) quota.name = quota.name.replace(deployment.id, id);
      deployment.id = id;
      deployment.traits = { ...deployment.traits, prices: free };
    }
  }
  return settings;
}

// ---------------------------------------------------------------- the file

interface ConfigFile {
  /** Absent if there is no file. */
  name?: string;
  content: unknown;
  /** Returns the line of a key. */
  lineOf: (path: Path) => number | undefined;
}

const maxFileBytes = 1024 * 1024;
/** How many aliases may refer to the same anchor: enough to share a list of quotas, too few to exhaust memory. */
const maxAliases = 100;

async function readFileSettings(
  env: Environment,
  cwd: string,
  argument: string | undefined,
  refuseEmpty: boolean,
): Promise<ConfigFile> {
  const named = argument ?? readVariable(env, "SLUICE_CONFIG");
  const name = resolvePath(cwd, named ?? "sluice.yaml");
  let bytes: Buffer;
  try {
    bytes = await readFile(name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && named === undefined) return { content: {}, lineOf: () => undefined };
    const from = argument ? " (--config)" : named ? " (SLUICE_CONFIG)" : "";
    throw new ConfigError(`The configuration file ${name}${from} cannot be read: ${code ?? String(error)}.`);
  }
  if (bytes.length > maxFileBytes) {
    throw new ConfigError(
      `The configuration file ${name} must have at most ${maxFileBytes} bytes; got ${bytes.length}.`,
    );
  }
  const text = bytes.toString("utf8");
  if (refuseEmpty && text.trim() === "") {
    throw new ConfigError(`The configuration file ${name} is empty, perhaps because a program is still writing it.`);
  }
  return { name, ...parse(name, text) };
}

/** Removes the line that the parser quotes, because it may hold a password. */
function withoutExcerpt(message: string): string {
  return message.split(/:?\s*\n/, 1)[0]!.trim();
}

function parse(name: string, text: string): Omit<ConfigFile, "name"> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: true });
  const mistakes = [...document.errors, ...document.warnings];
  if (mistakes.length > 0) {
    throw new ConfigError(
      [`${name} is not valid YAML:`, ...mistakes.map((m) => `  ${withoutExcerpt(m.message)}`)].join("\n"),
    );
  }
  let content: unknown;
  try {
    content = document.toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    throw new ConfigError(`${name} is not valid YAML: ${(error as Error).message}.`);
  }
  return {
    // An empty file is deliberate and means all defaults.
    content: content ?? {},
    lineOf(path) {
      const node = document.getIn(path, true);
      const offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0];
      return offset === undefined ? undefined : lines.linePos(offset).line;
    },
  };
}

// ---------------------------------------------------------------- environment and command line

/** Overrides the file by environment variables and arguments. `origins` names the variable or flag that set a key. */
function override(content: unknown, env: Environment, args: NonNullable<LoadOptions["args"]>) {
  const origins = new Map<string, string>();
  if (typeof content !== "object" || content === null || Array.isArray(content)) return { value: content, origins };
  const value: Record<string, unknown> = { ...content };
  const set = (key: keyof FileSettings, variable: VariableName, flag?: string, argument?: string) => {
    const text = argument ?? readVariable(env, variable);
    if (text === undefined) return;
    value[key] = key === "port" ? portOf(text) : text;
    origins.set(key, argument === undefined ? variable : flag!);
  };
  const setMetrics = (key: keyof NonNullable<FileSettings["metrics"]>, variable: VariableName) => {
    const text = readVariable(env, variable);
    const { metrics = {} } = value;
    if (text === undefined || typeof metrics !== "object") return;
    value.metrics = { ...metrics, [key]: key === "port" ? portOf(text) : text };
    origins.set(`metrics.${key}`, variable);
  };
  set("host", "HOST", "--host", args.host);
  set("port", "PORT", "--port", args.port);
  set("dataDir", "SLUICE_DATA_DIR", "--data-dir", args.dataDir);
  set("logLevel", "SLUICE_LOG_LEVEL", "--log-level", args.logLevel);
  set("defaultModel", "SLUICE_DEFAULT_MODEL");
  const proxies = readVariable(env, "SLUICE_TRUSTED_PROXIES");
  if (proxies !== undefined) value.trustedProxies = networksIn("SLUICE_TRUSTED_PROXIES", proxies);
  setMetrics("host", "SLUICE_METRICS_HOST");
  setMetrics("port", "SLUICE_METRICS_PORT");
  return { value, origins };
}

/** Returns the networks of a list. Checks them here, because a message about a part of the text could show a secret. */
function networksIn(variable: VariableName, text: string): string[] {
  const networks = text.split(/[\s,]+/).filter((network) => network !== "");
  if (networks.every(parseNetwork)) return networks;
  throw new ConfigError(
    `${variable} must be addresses, or networks such as 10.0.0.0/8 or fd00::/8, with commas between them; ` +
      `got ${showValue(text)}`,
  );
}

function portOf(text: string): string | number {
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}

function configError(problems: Problem[], file: ConfigFile, origins: Map<string, string>): ConfigError {
  const lines = problems.map(({ path, text }) => {
    const name = formatPath(path);
    const origin = origins.get(name);
    if (origin) return `  ${origin} ${text}`;
    const line = file.lineOf(path);
    return `  ${name || "The file"} ${text}${line === undefined ? "" : ` (line ${line})`}`;
  });
  const where = file.name ? `the configuration (${file.name})` : "the configuration";
  return new ConfigError(
    [`There ${lines.length === 1 ? "is a mistake" : `are ${lines.length} mistakes`} in ${where}:`, ...lines].join("\n"),
  );
}
