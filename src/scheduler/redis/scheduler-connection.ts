// The connection to Redis: made so that a server that is away, hangs, or has become a replica is an error within a
// bounded time, never a queue of waiting commands, and so that it comes back by itself.
import { type Cluster, Redis, type RedisOptions } from "ioredis";
import { SluiceError } from "../../domain/errors.ts";

export type Client = Redis | Cluster;

/** Redis did not take the command, or did not answer in time: then the command may have been executed. */
export class RedisUnavailableError extends SluiceError {
  override readonly name = "RedisUnavailableError";

  constructor(reason: string, cause?: unknown) {
    super("unavailable", `Redis is not available (${reason}). It is tried again by itself.`, {}, { cause });
  }
}

/**
 * A server answers, and it cannot hold the queue: it does not let this service in, or it is the wrong one. That does not
 * pass by itself, so the service does not start. The message is whole sentences and says what to do.
 */
export class RedisRefusedError extends Error {
  override readonly name = "RedisRefusedError";
}

/** No password, a wrong one, or a user without rights; also under the words that the client puts before it. */
const refusals = /\b(WRONGPASS|NOAUTH|NOPERM)\b|invalid password|without any password configured/;

/** Why the server that answered with this error cannot hold the queue; undefined if the error is about something else. */
export function refusalOf(error: unknown): RedisRefusedError | undefined {
  if (error instanceof RedisUnavailableError) return refusalOf(error.cause);
  const message = error instanceof Error ? error.message : "";
  if (refusals.test(message)) {
    const reason = message.replace(/^Ready check failed: /, "").replace(/\.$/, "");
    return new RedisRefusedError(
      `Redis does not let this service in (REDIS_URL): ${reason}. ` +
        "Check the user and the password in the address, as redis://user:password@host:6379.",
    );
  }
  const owner = /^(?:MOVED|ASK) \d+ (\S+)/.exec(message)?.[1];
  if (owner !== undefined) {
    return new RedisRefusedError(
      "REDIS_URL names a node of a Redis Cluster that does not hold the queue, which is on one node. " +
        `Name that node in its place: ${owner}.`,
    );
  }
  if (/unknown command\b.*\bEVALSHA\b/i.test(message)) {
    return new RedisRefusedError(
      "REDIS_URL names a server that runs no scripts, such as a Sentinel. Name the Redis server itself, which usually has " +
        "port 6379; a Sentinel says which one it is with SENTINEL GET-MASTER-ADDR-BY-NAME.",
    );
  }
  return undefined;
}

const longestReconnectMs = 1000;

/** Why a client is not ready, in its own words. */
const lastTrouble = new WeakMap<Client, string>();

export function connect(url: string, timeoutMs: number): Redis {
  const client = new Redis(url, {
    protocol: 2,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    keepAlive: 10_000,
    ...reconnecting,
  });
  client.on("error", ({ message, code }: NodeJS.ErrnoException) => lastTrouble.set(client, message || (code ?? "")));
  client.on("ready", () => lastTrouble.delete(client));
  return client;
}

/**
 * Resolves when commands are taken, or when that cannot be said yet: whoever needs it will hear of it.
 * @throws RedisRefusedError
 */
export async function untilReady(client: Client, timeoutMs: number): Promise<void> {
  let refused: RedisRefusedError | undefined;
  const onError = (error: Error) => {
    refused ??= refusalOf(error);
  };
  client.on("error", onError);
  if (client.status === "wait") client.connect().catch(() => {});
  if (client.status !== "ready") await untilSettled(client, timeoutMs);
  client.off("error", onError);
  if (refused) throw refused;
}

async function untilSettled(client: Client, timeoutMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      for (const event of settled) client.off(event, done);
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    for (const event of settled) client.on(event, done);
  });
}

const settled = ["ready", "close", "end"];

/** A second connection to the same place, which waits for notices. */
export function subscriberOf(client: Client): Client {
  const options: Partial<RedisOptions> = {
    lazyConnect: true,
    autoResubscribe: false,
    commandTimeout: undefined,
    maxRetriesPerRequest: null,
    ...reconnecting,
  };
  return "nodes" in client ? client.duplicate() : client.duplicate(options);
}

const reconnecting = {
  retryStrategy: (tries: number) => Math.min(longestReconnectMs, 25 * 2 ** Math.min(tries, 10)),
  // A failover: this address has become a replica. Another connection finds the new primary.
  reconnectOnError: (error: Error) => error.message.includes("READONLY"),
} satisfies Partial<RedisOptions>;

/** Runs a command; errors of the connection become a RedisUnavailableError, and a silent one is replaced. */
export async function command<T>(client: Client, run: () => Promise<T>): Promise<T> {
  if (client.status !== "ready") {
    throw new RedisUnavailableError([client.status, lastTrouble.get(client)].filter(Boolean).join(": "));
  }
  try {
    return await run();
  } catch (error) {
    if (isReply(error)) throw error;
    // Half-open: the other side is gone and nobody said so.
    if (error instanceof Error && error.message === "Command timed out") client.disconnect(true);
    throw new RedisUnavailableError(error instanceof Error ? error.message : String(error), error);
  }
}

/** Whether the server itself answered with this error, and it is not about its role, state or room. */
function isReply(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== "ReplyError") return false;
  return !/READONLY|^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|OOM|MISCONF|NOREPLICAS)\b/.test(error.message);
}
