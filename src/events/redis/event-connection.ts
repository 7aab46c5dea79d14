// One connection to Redis for events. It never queues commands while Redis is away, comes back by itself (also after a
// failover, and when the other side is gone without a word), and says in the log once that Redis is away and once that
// it is back.
import { Redis } from "ioredis";
import type { Logger } from "pino";

/** How long the start waits for a first connection. Without one the service starts all the same. */
const firstConnectMs = 2000;
const longestReconnectMs = 1000;

export interface ConnectionOptions {
  /** `redis://` or `rediss://`. */
  url: string;
  /** What the connection is for; in the log and in Redis' own `CLIENT LIST`. */
  purpose: string;
  log: Logger;
  /** How often the connection is asked whether it is alive. */
  heartbeatMs: number;
  /** After how long without an answer it is not. */
  timeoutMs: number;
}

interface Connection {
  redis: Redis;
  /** Ends it, and the attempts to get it back. */
  close(): void;
}

/** Resolves when connected, or after 2 s without; what goes on then is in the log. */
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
    // A failover: this address has become a replica. Another connection finds the new primary.
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

/** Half-open: the other side is gone and nobody said so. A connection that does not answer is replaced. */
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

/** Each failed attempt to connect is an error event; hours of them are one line. */
function reportOutages(redis: Redis, purpose: string, log: Logger): void {
  let away = false;
  redis.on("error", (error: Error) => {
    if (!away) log.warn({ reason: reasonOf(error), purpose }, "lost the connection to Redis; events are not delivered");
    away = true;
  });
  redis.on("ready", () => {
    if (away) log.info({ purpose }, "reconnected to Redis");
    away = false;
  });
}

/** The words alone: ioredis hangs the command on its errors, and its arguments may be a prompt or the password. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
