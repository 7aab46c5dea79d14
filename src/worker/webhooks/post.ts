// Sends one request to a URL from a tenant. It must not reach what only this machine or its network can reach. So it
// resolves the name, checks every address, and connects to a checked one, even if the name changes meanwhile. It does
// not follow redirects, and reads little of the response.
import { lookup } from "node:dns/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { StringDecoder } from "node:string_decoder";
import type { AllowedNetworks } from "../../domain/networks.ts";
import { hostOf } from "../../jobs/webhooks/webhook-url.ts";
import { systemTimers, type Timers } from "../timers.ts";

/** Returns all addresses of a host name. */
export type ResolveHost = (host: string) => Promise<string[]>;

export interface PostOptions {
  networks: AllowedNetworks;
  /** Default: the system's timers. */
  timers?: Timers;
  /** Returns monotonic milliseconds. Default: the system's clock. */
  now?: () => number;
  /** Maximum time of the whole exchange with the name lookup, in milliseconds. */
  timeoutMs: number;
  /** Ends the exchange early when aborted. */
  signal: AbortSignal;
  resolveHost?: ResolveHost;
}

export interface Posted {
  /** HTTP status. Absent without a response. */
  status?: number;
  /** Why there was no response, in a sentence without the address. */
  error?: string;
  /** Why the name cannot be used, for the operator's log only. */
  detail?: string;
  /** The beginning of the response. */
  excerpt: string;
  retryAfterMs?: number;
}

const maxReadBytes = 4096;
const excerptLength = 200;

/** Maximum time of a name lookup, in milliseconds. */
const lookupTimeoutMs = 3_000;
/** Failures of a name end at a multiple of this time after their start, in milliseconds. */
const unusableNameStepMs = 1_000;
const unusableName = "The host name is unknown, or resolves to an address that webhooks may not use.";

/** Sends the request. Never rejects. */
export async function post(
  address: string,
  headers: Record<string, string>,
  body: Buffer,
  options: PostOptions,
): Promise<Posted> {
  const { now = performance.now.bind(performance) } = options;
  const startedAt = now();
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  try {
    const url = new URL(address);
    const addresses = await checkedAddresses(url, signal, options);
    const answer = await exchange(url, headers, body, addresses, signal);
    const excerpt = await beginningOf(answer, signal);
    const retryAfterMs = retryAfterOf(answer.headers["retry-after"], answer.headers.date);
    return { status: answer.statusCode!, excerpt, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  } catch (error) {
    if (!(error instanceof UnusableName)) return { error: reasonOf(error, options), excerpt: "" };
    await untilNextStep(now() - startedAt, options);
    return { error: unusableName, detail: error.message, excerpt: "" };
  }
}

/**
 * The name is unknown, has no address, or has one that is not allowed. A tenant must not learn which, because that
 * would reveal names and addresses of the operator's network.
 */
class UnusableName extends Error {}

/** Waits for the next step, because the duration of a failure would also reveal its cause. */
async function untilNextStep(elapsedMs: number, { timers = systemTimers, signal }: PostOptions): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    const cancel = timers.after(unusableNameStepMs - (elapsedMs % unusableNameStepMs), done);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}

class NotAllowed extends Error {}

/**
 * Returns the checked addresses of a URL.
 * @throws UnusableName, or NotAllowed for a public address without TLS
 */
async function checkedAddresses(url: URL, signal: AbortSignal, options: PostOptions): Promise<string[]> {
  const { networks } = options;
  const host = hostOf(url);
  const addresses = isIP(host) ? [host] : await lookUp(host, signal, options);
  if (addresses.length === 0) throw new UnusableName("the name has no address");
  const refused = addresses.find((address) => !networks.mayReach(address));
  if (refused !== undefined) {
    throw new UnusableName(`${refused} is neither public nor in webhooks.allowPrivateNetworks`);
  }
  if (url.protocol === "http:" && !addresses.every((address) => networks.has(address))) {
    throw new NotAllowed("Webhooks without TLS are allowed only to networks in webhooks.allowPrivateNetworks.");
  }
  return addresses;
}

async function lookUp(host: string, signal: AbortSignal, options: PostOptions): Promise<string[]> {
  const { resolveHost = resolveBySystem } = options;
  try {
    return await unlessAborted(resolveHost(host), AbortSignal.any([signal, AbortSignal.timeout(lookupTimeoutMs)]));
  } catch (error) {
    // The service is stopping.
    if (options.signal.aborted) throw error;
    throw new UnusableName(`the lookup failed: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`);
  }
}

async function resolveBySystem(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

function exchange(
  url: URL,
  headers: Record<string, string>,
  body: Buffer,
  addresses: string[],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  /** Resolves to the checked addresses, whatever the name resolves to now. */
  const asChecked: LookupFunction = (_host, { all: wantsAll }, callback) =>
    wantsAll ? callback(null, all) : callback(null, all[0]!.address, all[0]!.family);
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(url, {
      method: "POST",
      // A kept connection could have been checked under another configuration.
      agent: false,
      lookup: asChecked,
      signal,
      headers: { ...headers, "content-length": String(body.length) },
    });
    request.once("response", resolve);
    // Errors after the start of the response have no other listener.
    request.on("error", reject);
    request.end(body);
  });
}

/** Returns the beginning of the response. The status is known, so errors of the rest do not matter. */
async function beginningOf(answer: IncomingMessage, signal: AbortSignal): Promise<string> {
  const decoder = new StringDecoder("utf8");
  let text = "";
  let bytes = 0;
  try {
    for await (const chunk of answer) {
      bytes += (chunk as Buffer).length;
      if (text.length < excerptLength) text += decoder.write((chunk as Buffer).subarray(0, maxReadBytes));
      if (bytes >= maxReadBytes || signal.aborted) break;
    }
  } catch {
    // The response was cut off or too slow.
  } finally {
    answer.destroy();
  }
  return text
    .replace(/[\p{C}\s]+/gu, " ")
    .trim()
    .slice(0, excerptLength);
}

/** Returns Retry-After in milliseconds, given as seconds or as a time. */
function retryAfterOf(value: string | undefined, date: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const ms = Date.parse(value) - (date === undefined ? Date.now() : Date.parse(date));
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

const reasons: Record<string, string> = {
  ECONNREFUSED: "The connection was refused.",
  ECONNRESET: "The connection was reset.",
  EHOSTUNREACH: "The host cannot be reached.",
  ENETUNREACH: "The network cannot be reached.",
};

function reasonOf(error: unknown, { timeoutMs, signal }: PostOptions): string {
  if (error instanceof NotAllowed) return error.message;
  if (signal.aborted) return "The service stopped before the receiver answered.";
  const { name, code = "", cause } = error as NodeJS.ErrnoException & { cause?: Error };
  if (name === "TimeoutError" || cause?.name === "TimeoutError") {
    return `The receiver did not answer within ${timeoutMs / 1000} seconds.`;
  }
  if (Object.hasOwn(reasons, code)) return reasons[code]!;
  return `The request failed: ${code || "the response is not HTTP, or the TLS certificate is not trusted"}.`;
}
