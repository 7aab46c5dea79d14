// sluice keys: creates, lists and revokes API keys. The command asks the running service. If none runs, or if the store is in
// MongoDB, it opens the store itself.
import { Command, InvalidArgumentError, Option } from "commander";
import { readVariable } from "../config/environment.ts";
import { SluiceError } from "../domain/errors.ts";
import { priorities } from "../domain/job.ts";
import type { KeyBody, KeyResource, Keys } from "../service/stored-keys.ts";
import { CommandError } from "./exit-codes.ts";
import { decimal, wholeNumber } from "./numbers.ts";
import { note, printJson } from "./output.ts";
import { askService, callService, defaultServiceUrl, describeError, NotRunningError } from "./service-client.ts";
import { printTable } from "./table.ts";
import { oneLine } from "./terminal.ts";

interface Place {
  url?: string;
  config?: string;
  dataDir?: string;
  json?: boolean;
}

interface CreateOptions extends Place {
  name: string;
  tenant?: string;
  environment?: string[];
  weight?: number;
  priorityMax?: KeyBody["priority_max"];
  regions?: string[];
  dailyTokens?: number;
  budgetUsd?: number;
  maxWaiting?: number;
  maxWait?: number;
  admin?: boolean;
  readOnly?: boolean;
}

export function keysCommand(): Command {
  return new Command("keys")
    .description("Create, list and revoke API keys. Once a key exists, every call to the service needs one.")
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand())
    .addHelpText(
      "after",
      `
Examples:
  sluice keys create --name billing --environment UAT
  sluice keys list
  sluice keys revoke 0h2k5m8p1q3r7`,
    );
}

function createCommand(): Command {
  const several = (text: string, before: string[] = []) => [...before, ...namesIn(text)];
  return placed(new Command("create"))
    .description("Create an API key and print it. It cannot be shown again.")
    .requiredOption("--name <name>", "a name for people; also the tenant, unless --tenant names one")
    .option("--tenant <name>", "owner of the jobs; a key that replaces another needs the same tenant")
    .option("--environment <name>", "environment that the key may use; may be repeated (default: all)", several)
    .option(
      "--weight <n>",
      "the tenant's share next to other tenants (default: the configuration's, or 1)",
      positive(1_000_000),
    )
    .addOption(new Option("--priority-max <name>", "highest priority of its jobs (default: any)").choices(priorities))
    .option("--regions <names>", "Regions that may serve its jobs, separated by commas (default: any)", several)
    .option("--daily-tokens <n>", "tokens per UTC day", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--budget-usd <n>", "US dollars per calendar month", positive(1_000_000))
    .option("--max-waiting <n>", "jobs that may wait or run at a time", wholeNumber(1, 100_000_000))
    .option("--max-wait <seconds>", "longest time to hold a call of an AWS SDK (default: 55)", wholeNumber(1, 86_400))
    .option("--admin", "the key may see all tenants' jobs, and manage keys")
    .option("--read-only", "the key may only read, and no secrets")
    .addHelpText(
      "after",
      `${where}

Examples:
  sluice keys create --name admin --admin
  sluice keys create --name monitor --admin --read-only
  sluice keys create --name billing --environment UAT --weight 2 \\
    --daily-tokens 1000000
  sluice keys create --name "billing, 2027" --tenant billing \\
    --priority-max standard --json`,
    )
    .action(create);
}

function listCommand(): Command {
  return placed(new Command("list"))
    .description("List all API keys, without their secrets.")
    .addHelpText("after", `${where}\n\nExamples:\n  sluice keys list\n  sluice keys list --json`)
    .action((options: Place) => list(options));
}

function revokeCommand(): Command {
  return placed(new Command("revoke"))
    .description("Revoke an API key. Every process refuses it within seconds; its jobs stay.")
    .argument("<id>", "the id that create and list print")
    .addHelpText(
      "after",
      `${where}\n\nExamples:\n  sluice keys revoke 0h2k5m8p1q3r7\n  sluice keys revoke 0h2k5m8p1q3r7 --data-dir /srv/sluice/data`,
    )
    .action((id: string, options: Place) => revoke(id, options));
}

const where = `
With MONGODB_URL and REDIS_URL, the command opens that store. Otherwise it calls
the service at --url (SLUICE_URL), with the admin key in SLUICE_API_KEY once a
key exists. If no service runs there, it opens the data folder.`;

function placed(command: Command): Command {
  return command
    .option("--json", "print JSON")
    .option("--url <address>", `address of the service (SLUICE_URL; default: ${defaultServiceUrl()})`)
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it is there)")
    .option("--data-dir <folder>", "data folder to open (SLUICE_DATA_DIR; default: data)");
}

async function create(options: CreateOptions): Promise<void> {
  const body: KeyBody = {
    name: options.name,
    tenant: options.tenant,
    environments: options.environment,
    weight: options.weight,
    priority_max: options.priorityMax,
    regions: options.regions,
    daily_tokens: options.dailyTokens,
    budget_usd: options.budgetUsd,
    max_waiting: options.maxWaiting,
    max_wait_s: options.maxWait,
    admin: options.admin,
    read_only: options.readOnly,
  };
  const key = await withKeys(options, (keys) => keys.create(body));
  if (options.json) {
    printJson(key);
    return;
  }
  // The key alone on standard output, so that a script can read it.
  console.log(key.key);
  note(`Created ${key.id} (${oneLine(described(key))}). The key is not shown again: store it now.`);
}

async function list(options: Place): Promise<void> {
  const keys = await withKeys(options, (all) => all.list());
  if (options.json) for (const key of keys) printJson(key);
  else if (keys.length === 0) note("There are no API keys: every caller that reaches the service may use it.");
  else printTable(listColumns, keys.map(rowOf));
}

const listColumns = [
  { title: "id" },
  { title: "name", atLeast: 8 },
  { title: "tenant", atLeast: 6 },
  { title: "created" },
  { title: "key" },
  { title: "limits", atLeast: 10, optional: true },
] as const;

function rowOf(key: KeyResource): string[] {
  const { id, name, tenant, created_at, hint } = key;
  const revoked = key.revoked_at ? [`revoked ${key.revoked_at.slice(0, 10)}`] : [];
  return [id, name, tenant, created_at.slice(0, 10), hint, [...revoked, ...limitsOf(key)].join("; ")];
}

async function revoke(id: string, options: Place): Promise<void> {
  const key = await withKeys(options, (keys) => keys.revoke(id));
  if (options.json) printJson(key);
  else console.log(oneLine(`Revoked ${key.id} (${key.name}) at ${key.revoked_at}.`));
}

/** Returns what differs from the defaults, in one line. */
function described(key: KeyResource): string {
  const names = [JSON.stringify(key.name), `tenant ${JSON.stringify(key.tenant)}`];
  return [...names, ...limitsOf(key), `created ${key.created_at}`].join("; ");
}

function limitsOf(key: KeyResource): string[] {
  const parts = [
    key.admin && "admin",
    key.read_only && "read-only",
    key.environments && `environments ${key.environments.join(", ")}`,
    key.weight && `weight ${key.weight}`,
    key.priority_max && `priority at most ${key.priority_max}`,
    key.regions && `regions ${key.regions.join(", ")}`,
    key.daily_tokens && `${key.daily_tokens} tokens a day`,
    key.budget_usd && `$${key.budget_usd} a month`,
    key.max_waiting && `${key.max_waiting} jobs at a time`,
    key.max_wait_s && `calls held for ${key.max_wait_s} s`,
  ];
  return parts.filter((part) => typeof part === "string");
}

async function withKeys<T>(options: Place, use: (keys: Keys) => Promise<T>): Promise<T> {
  const url = options.url ?? defaultServiceUrl();
  const shared = readVariable(process.env, "MONGODB_URL") !== undefined && options.url === undefined;
  if (shared || options.dataDir !== undefined) return withStore(options, use);
  try {
    return await use(keysOf(url));
  } catch (error) {
    const named = options.url ?? readVariable(process.env, "SLUICE_URL");
    if (error instanceof NotRunningError && named === undefined) return withStore(options, use, url);
    throw error;
  }
}

async function listed(keys: AsyncIterable<KeyResource>): Promise<KeyResource[]> {
  const all: KeyResource[] = [];
  for await (const key of keys) all.push(key);
  return all;
}

function keysOf(url: string): Keys {
  return {
    create: (body) => callService(url, "POST", "/v1/keys", body),
    list: () => askService(url, (service) => listed(service.keys())),
    revoke: (id) => callService(url, "POST", `/v1/keys/${encodeURIComponent(id)}/revoke`),
  };
}

/** @param asked the address at which no service answered */
async function withStore<T>(options: Place, use: (keys: Keys) => Promise<T>, asked?: string): Promise<T> {
  // Loaded only here, because a command that calls a service should not wait for it.
  const [{ loadSettings }, record] = await Promise.all([
    import("../config/load.ts"),
    import("../service/stored-keys.ts"),
  ]);
  const env = { ...process.env, SLUICE_LOG_LEVEL: readVariable(process.env, "SLUICE_LOG_LEVEL") ?? "silent" };
  const { config, dataDir } = options;
  const settings = await loadSettings({ env, cwd: process.cwd(), args: { config, dataDir }, role: "none" });
  return record.withKeys(settings, use).catch((error: unknown) => {
    if (error instanceof SluiceError) throw new CommandError(describeError(error));
    if ((error as Error).name !== "StoreOpenError") throw error;
    const hint =
      asked === undefined ? "" : ` No service answers at ${asked}; if it has another address, set SLUICE_URL.`;
    throw new CommandError(`${(error as Error).message}${hint}`);
  });
}

function namesIn(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.includes("")) throw new InvalidArgumentError("Allowed: names, separated by commas.");
  return names;
}

function positive(max: number) {
  const parse = decimal(0, max);
  return (text: string): number => {
    const value = parse(text);
    if (value === 0) throw new InvalidArgumentError(`Allowed: a number above 0, up to ${max}.`);
    return value;
  };
}
