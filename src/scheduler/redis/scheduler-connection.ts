// The connection to Redis. If a server is unavailable, hangs or has become a replica, commands fail within a bounded
// time and are never queued. The connection recovers by itself.
import { type Cluster, Redis, type RedisOptions } from "ioredis";
import { SluiceError } from "../../domain/errors.ts";

export type Client = Redis | Cluster;

/**
 * Redis did not accept the command, or did not answer in time. In the second case the command may have been executed.
 */
export class RedisUnavailableError extends SluiceError {
  override readonly name = "RedisUnavailableError";

  constructor(reason: string, cause?: unknown) {
    super("unavailable", `Redis is unavailable (${reason}). Sluice retries by itself.`, {}, { cause });
  }
}

/**
 * The server answers but cannot hold the queue: it denies access, or it is the wrong kind of server. That does not pass
 * by itself, so the service does not start. The message is whole sentences and says what to do.
 */
export class RedisRefusedError extends Error {
  override readonly name = "RedisRefusedError";
}

/**
 * A missing or wrong password, or a user without rights; also within the messages that the client wraps around these.
 */
const refusals = /\b(WRONGPASS|NOAUTH|NOPERM)\b|invalid password|without any password configured/;

/**
 * Returns why the server that sent this error cannot hold the queue. Undefined if the error is about something else.
 */
export function refusalOf(error: unknown): RedisRefusedError | undefined {
  if (error instanceof RedisUnavailableError) return refusalOf(error.cause);
  const message = error instanceof Error ? error.message : "";
  if (refusals.test(message)) {
    const reason = message.replace(/^Ready check failed: /, "").replace(/\.$/, "");
    return new RedisRefusedError(
      `Redis denies access to this service (REDIS_URL): ${reason}. ` +
        "Check the user and the password in the address, as redis://user:password@host:6379.",
    );
  }
  const owner = /^(?:MOVED|ASK) \d+ (\S+)/.exec(message)?.[1];
  if (owner !== undefined) {
    return new RedisRefusedError(
      "REDIS_URL names a node of a Redis Cluster that does not hold the queue, which is on one node. " +
        `Name this node instead: ${owner}.`,
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

/** Why each client is not ready, in its own words. */
const lastError = new WeakMap<Client, string>();

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
  client.on("error", ({ message, code }: NodeJS.ErrnoException) => lastError.set(client, message || (code ?? "")));
  client.on("ready", () => lastError.delete(client));
  return client;
}

/**
 * Resolves when the client accepts commands, or when its state stays unknown for `timeoutMs`. In that case the first
 * command reports the error.
 * @throws RedisRefusedError if a server answers that cannot hold the queue
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

/** Returns a second connection to the same server, for notices. */
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
  // After a failover this address belongs to a replica. A new connection finds the new primary.
  reconnectOnError: (error: Error) => error.message.includes("READONLY"),
} satisfies Partial<RedisOptions>;

/**
 * Runs a command. Turns connection errors into a RedisUnavailableError and replaces a connection that does not answer.
 */
export async function command<T>(client: Client, run: () => Promise<T>): Promise<T> {
  if (client.status !== "ready") {
    throw new RedisUnavailableError([client.status, lastError.get(client)].filter(Boolean).join(": "));
  }
  try {
    return await run();
  } catch (error) {
    if (isReply(error)) throw error;
    // A half-open connection: the other side disconnected without a sign.
    if (error instanceof Error && error.message === "Command timed out") client.disconnect(true);
    throw new RedisUnavailableError(error instanceof Error ? error.message : String(error), error);
  }
}

/** Whether the server itself sent this error, and it is not about its role, state or memory. */
function isReply(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== "ReplyError") return false;
  return !/READONLY|^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|OOM|MISCONF|NOREPLICAS)\b/.test(error.message);
}
