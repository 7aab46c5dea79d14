// One connection to Redis for events. Never queues commands while Redis is unreachable. Reconnects by itself, also
// after a failover or when the other side disappeared silently. Logs each outage once and each recovery once.
import { Redis } from "ioredis";
import type { Logger } from "pino";

/** How long the start waits for a first connection, in milliseconds. Without one the service starts anyway. */
const firstConnectMs = 2000;
const longestReconnectMs = 1000;

export interface ConnectionOptions {
  /** Address: `redis://` or `rediss://`. */
  url: string;
  /** What the connection is for. Shown in the log and in Redis' own `CLIENT LIST`. */
  purpose: string;
  log: Logger;
  /** Interval between checks whether the connection is alive, in milliseconds. */
  heartbeatMs: number;
  /** Time without an answer after which the connection counts as dead, in milliseconds. */
  timeoutMs: number;
}

interface Connection {
  redis: Redis;
  /** Closes the connection and stops reconnecting. */
  close(): void;
}

/** Opens a connection. Resolves when connected, or after 2 s without one. Later changes are in the log. */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { url, purpose, log, heartbeatMs, timeoutMs } = options;
  const redis = new Redis(url, {
    lazyConnect: true,
    connectionName: `sluice:${purpose}`,
    enableAutoPipelining: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    retryStrategy: (tries) => Math.min(longestReconnectMs, 25 * 2 ** Math.min(tries, 10)),
    // After a failover this address is a replica. A new connection finds the new primary.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  });
  reportOutages(redis, purpose, log);
  const stopWatching = keepWatch(redis, heartbeatMs, () =>
    log.warn({ purpose }, "replaced a connection to Redis that did not answer"),
  );

  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, firstConnectMs);
  });
  // A failed first attempt is repeated like any later one.
  const connected = redis.connect().catch(() => new Promise<void>((resolve) => redis.once("ready", resolve)));
  await Promise.race([connected, late]);
  clearTimeout(timer);
  return {
    redis,
    close() {
      stopWatching();
      redis.disconnect();
    },
  };
}

/** Detects half-open connections, whose other side disappeared silently. Replaces a connection that does not answer. */
function keepWatch(redis: Redis, heartbeatMs: number, onSilence: () => void): () => void {
  let asking = false;
  const heartbeat = setInterval(async () => {
    if (asking || redis.status !== "ready") return;
    asking = true;
    await redis.ping().catch((error: Error) => {
      if (error.message !== "Command timed out") return;
      onSilence();
      redis.disconnect(true);
    });
    asking = false;
  }, heartbeatMs);
  heartbeat.unref();
  return () => clearInterval(heartbeat);
}

/** Logs an outage as one line. Each failed attempt to connect is an error event, and an outage may last hours. */
function reportOutages(redis: Redis, purpose: string, log: Logger): void {
  let isLost = false;
  redis.on("error", (error: Error) => {
    if (!isLost)
      log.warn({ reason: reasonOf(error), purpose }, "lost the connection to Redis; events are not delivered");
    isLost = true;
  });
  redis.on("ready", () => {
    if (isLost) log.info({ purpose }, "reconnected to Redis");
    isLost = false;
  });
}

/**
 * Returns the message only. ioredis attaches the command to its errors, and its arguments may contain a prompt or the
 * password.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
