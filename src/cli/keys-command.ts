// sluice keys: creates, lists and revokes API keys. A service that is running is asked to; where none is, and where the
// record is in MongoDB, the command opens the record itself.

import { Command, InvalidArgumentError, Option } from "commander";
import { readVariable } from "../config/environment.ts";
import { SluiceError } from "../domain/errors.ts";
import { priorities } from "../domain/job.ts";
import { jsonLine } from "../domain/json-lines.ts";
import type { KeyBody, KeyResource, Keys } from "../service/stored-keys.ts";
import { callService, defaultServiceUrl, describeError, NotRunningError, readKeys } from "./client-options.ts";
import { CommandError } from "./exit-codes.ts";
import { decimal, wholeNumber } from "./numbers.ts";

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
  admin?: boolean;
}

export function keysCommand(): Command {
  return new Command("keys")
    .description("Create, list and revoke API keys. Once there is one, every call to the service needs one.")
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand());
}

function createCommand(): Command {
  const several = (text: string, before: string[] = []) => [...before, ...namesIn(text)];
  return placed(new Command("create"))
    .description("Create an API key and print it. It cannot be shown again.")
    .requiredOption("--name <name>", "for people; also the tenant, unless one is named")
    .option("--tenant <name>", "whose jobs they are; give a new key the tenant of the old one to replace it")
    .option("--environment <name>", "environment that it may use; may be repeated (default: all)", several)
    .option(
      "--weight <n>",
      "the tenant's share beside others (default: the configuration's, or 1)",
      positive(1_000_000),
    )
    .addOption(new Option("--priority-max <name>", "highest priority of its jobs (default: any)").choices(priorities))
    .option("--regions <names>", "regions that may serve its jobs, with commas (default: any)", several)
    .option("--daily-tokens <n>", "tokens per UTC day", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--budget-usd <n>", "US dollars per calendar month", positive(1_000_000))
    .option("--max-waiting <n>", "jobs that wait or run at a time", wholeNumber(1, 100_000_000))
    .option("--admin", "may see everybody's jobs, and manage keys")
    .addHelpText(
      "after",
      `${where}

Examples:
  sluice keys create --name admin --admin
  sluice keys create --name billing --environment UAT --weight 2 --daily-tokens 1000000
  sluice keys create --name "billing, 2027" --tenant billing --priority-max standard --json`,
    )
    .action(create);
}

function listCommand(): Command {
  return placed(new Command("list"))
    .description("List all API keys, without their secrets.")
    .addHelpText("after", `${where}\n\nExample:\n  sluice keys list --json`)
    .action((options: Place) => list(options));
}

function revokeCommand(): Command {
  return placed(new Command("revoke"))
    .description("Revoke an API key. Every process refuses it within seconds; its jobs stay.")
    .argument("<id>", "the id that create and list show")
    .addHelpText("after", `${where}\n\nExample:\n  sluice keys revoke 0h2k5m8p1q3r7`)
    .action((id: string, options: Place) => revoke(id, options));
}

const where = `
With MONGODB_URL and REDIS_URL the record there is opened. Otherwise the service at --url (SLUICE_URL) is asked, with the admin key in
SLUICE_API_KEY once there is a key; if none runs there, the data folder is opened.`;

function placed(command: Command): Command {
  return command
    .option("--json", "print JSON")
    .option("--url <address>", `address of the service (SLUICE_URL; default: ${defaultServiceUrl()})`)
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it is there)")
    .option("--data-dir <folder>", "open this folder (SLUICE_DATA_DIR; default: data)");
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
    admin: options.admin,
  };
  const key = await withKeys(options, (keys) => keys.create(body));
  if (options.json) {
    console.log(jsonLine(key));
    return;
  }
  // The key alone on standard output, so that a script can take it.
  console.log(key.key);
  console.error(`Created ${key.id} (${described(key)}). The key is not shown again: keep it now.`);
}

async function list(options: Place): Promise<void> {
  const keys = await withKeys(options, (all) => all.list());
  if (options.json) console.log(jsonLine(keys));
  else if (keys.length === 0) console.error("There are no API keys: whoever reaches the service may use it.");
  else for (const key of keys) console.log(`${key.hint}  ${described(key)}`);
}

async function revoke(id: string, options: Place): Promise<void> {
  const key = await withKeys(options, (keys) => keys.revoke(id));
  if (options.json) console.log(jsonLine(key));
  else console.log(`Revoked ${key.id} (${key.name}) at ${key.revoked_at}.`);
}

/** What is not the default, in one line. */
function described(key: KeyResource): string {
  const parts = [
    JSON.stringify(key.name),
    `tenant ${JSON.stringify(key.tenant)}`,
    key.admin && "admin",
    key.environments && `environments ${key.environments.join(", ")}`,
    key.weight && `weight ${key.weight}`,
    key.priority_max && `priority at most ${key.priority_max}`,
    key.regions && `regions ${key.regions.join(", ")}`,
    key.daily_tokens && `${key.daily_tokens} tokens a day`,
    key.budget_usd && `$${key.budget_usd} a month`,
    key.max_waiting && `${key.max_waiting} jobs at a time`,
    key.revoked_at ? `revoked ${key.revoked_at}` : `created ${key.created_at}`,
  ];
  return parts.filter((part) => part).join("; ");
}

async function withKeys<T>(options: Place, use: (keys: Keys) => Promise<T>): Promise<T> {
  const url = options.url ?? defaultServiceUrl();
  const shared = readVariable(process.env, "MONGODB_URL") !== undefined && options.url === undefined;
  if (shared || options.dataDir !== undefined) return withRecord(options, use);
  try {
    return await use(keysOf(url));
  } catch (error) {
    const named = options.url ?? readVariable(process.env, "SLUICE_URL");
    if (error instanceof NotRunningError && named === undefined) return withRecord(options, use, url);
    throw error;
  }
}

function keysOf(url: string): Keys {
  return {
    create: (body) => callService(url, "POST", "/v1/keys", body),
    list: () => readKeys(url),
    revoke: (id) => callService(url, "POST", `/v1/keys/${encodeURIComponent(id)}/revoke`),
  };
}

/** @param asked where no service answered */
async function withRecord<T>(options: Place, use: (keys: Keys) => Promise<T>, asked?: string): Promise<T> {
  // Loaded only here, because it takes time that a command to a running service should not wait for.
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
      asked === undefined ? "" : ` No service answers at ${asked}: if it has another address, name it with --url.`;
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
