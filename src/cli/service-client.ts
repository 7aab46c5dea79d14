// Commands that call a running service: their common options, the client, and errors that say what to set.
import type { Command } from "commander";
import { SluiceApiError, SluiceClient, SluiceConnectionError } from "../client/index.ts";
import { readVariable } from "../config/environment.ts";
import { maskSecrets } from "../config/secret-hider.ts";
import { errorTable } from "../domain/errors.ts";
import { CommandError } from "./exit-codes.ts";
import { oneLine, printable } from "./terminal.ts";

/** What every command that calls the service takes. */
export interface ServiceOptions {
  url: string;
  json?: boolean;
}

const defaultUrl = "http://127.0.0.1:8000";

export function defaultServiceUrl(): string {
  return readVariable(process.env, "SLUICE_URL") ?? defaultUrl;
}

/** Adds --json and --url. */
export function withServiceOptions(command: Command): Command {
  return command
    .option("--json", "print JSON")
    .option("--url <address>", "address of the service (SLUICE_URL)", defaultServiceUrl());
}

/** Sends one request, with the API key of SLUICE_API_KEY if it is set. @throws CommandError */
export function callService<T>(
  url: string,
  method: "GET" | "POST" | "DELETE",
  path: string,
  body?: object,
): Promise<T> {
  return askService(url, (service) => service.request<T>(method, path, body));
}

/** No process listens at the address. */
export class NotRunningError extends CommandError {}

/** Retries of a command that has been at work for a while: together about five minutes. */
const patientRetries = 10;

/**
 * Uses the service, with the API key of SLUICE_API_KEY if it is set.
 * @param use gets two clients. The first never repeats a request, because the user sees the error and decides. `patient`
 *   repeats after 429, 503 and a lost connection, for commands that would lose work.
 * @throws CommandError
 */
export async function askService<T>(
  url: string,
  use: (service: SluiceClient, patient: SluiceClient) => Promise<T>,
): Promise<T> {
  checkAddress(url);
  const key = apiKey();
  const client = (maxRetries: number) =>
    new SluiceClient({ baseUrl: url, maxRetries, ...(key !== undefined && { apiKey: key }) });
  try {
    return await use(client(0), client(patientRetries));
  } catch (error) {
    if (error instanceof SluiceApiError) throw new CommandError(refusal(error, key));
    if (error instanceof SluiceConnectionError) throw unreachable(url, error);
    throw error;
  }
}

function checkAddress(url: string): void {
  if (/^https?:\/\//i.test(url) && URL.canParse(url) && new URL(url).username + new URL(url).password === "") return;
  throw new CommandError(
    "The address of the service (--url or SLUICE_URL) is not valid. " +
      `Write it like ${defaultUrl}, without a user name or password; got ${maskSecrets(url)}.`,
  );
}

/** Never shown, not even if it is wrong. */
function apiKey(): string | undefined {
  const key = readVariable(process.env, "SLUICE_API_KEY");
  if (key === undefined || /^[\x21-\x7e]{1,1000}$/.test(key)) return key;
  throw new CommandError(
    "SLUICE_API_KEY is not an API key; allowed: sk-sluice-..., as `sluice keys create` printed it.",
  );
}

function refusal(error: SluiceApiError, key: string | undefined): string {
  if (error.code !== "unauthenticated") return describeError(error);
  const next =
    key === undefined
      ? "Set SLUICE_API_KEY to an API key of this service; an administrator creates one with `sluice keys create`."
      : "Set SLUICE_API_KEY to a key that this service knows; the service refused the one that is set.";
  return `${error.code}: ${oneLine(error.message)}\n${next}`;
}

function unreachable(url: string, { status, message, cause }: SluiceConnectionError): CommandError {
  if (status !== undefined) {
    return new CommandError(
      `${url} answered ${status}, but not as Sluice does. Set SLUICE_URL (or --url) to the address of the service, without a path such as /v1.`,
    );
  }
  const { code = "" } = ((cause as Error | undefined)?.cause ?? {}) as NodeJS.ErrnoException;
  const isDefault = url === defaultUrl;
  if (code === "ECONNREFUSED") {
    const elsewhere = isDefault
      ? "If it runs on another machine, set SLUICE_URL to its address and SLUICE_API_KEY to an API key."
      : "Check the address in SLUICE_URL or --url.";
    return new NotRunningError(
      `The service is not running at ${url}: the connection was refused. ${elsewhere} To start it on this machine: \`sluice serve\`.`,
    );
  }
  if (isUntrusted(code)) {
    return new CommandError(
      `The certificate of ${url} is not trusted (${code}). Name the file of its authority in NODE_EXTRA_CA_CERTS, and check the host name in SLUICE_URL.`,
    );
  }
  return new CommandError(`${message} Check the address in SLUICE_URL or --url.`);
}

function isUntrusted(code: string): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code);
}

/** `exceeds_quota: why`, and what to do about it on a line of its own. */
export function describeError({ code, message }: { code: string; message: string }): string {
  const advice = Object.hasOwn(errorTable, code) ? errorTable[code as keyof typeof errorTable].advice : undefined;
  return `${code}: ${printable(message)}${advice ? `\n${advice}` : ""}`;
}
