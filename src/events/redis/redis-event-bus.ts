// Events across processes, over Redis pub/sub, with a channel for each job that has listeners.
//
// An event without listeners costs a PUBLISH of some 140 bytes (4 to 6 us here, 2 us in Redis) and is not delivered.
// One channel per environment would deliver every event to every process: at 10,000 jobs a second, each would parse
// 30,000 messages. Plain PUBLISH also works on Redis Cluster, whichever node a process is connected to.
//
// Text is sent only for jobs whose text another process wants. Such a process sends `wanted` on the job's channel when
// a listener subscribes, when a call begins, and every 10 s. With `anew`, sent for a new listener, the worker repeats
// what it has published. A process that receives `wanted` sends text for the next 30 s. So a worker knows who listens
// without asking, a dead process leaves nothing to clean up, and an emptied or replaced Redis makes no difference. The
// worker receives `wanted` because it listens to the states of the job that it runs.
import { randomBytes } from "node:crypto";
import { type Logger, pino } from "pino";
import { type Clock, systemClock } from "../../domain/clock.ts";
import type { JobId } from "../../domain/ids.ts";
import type { EventBus, JobEvent } from "../event-bus.ts";
import { Listeners } from "../listeners.ts";
import { Channels } from "./channels.ts";
import { connect } from "./event-connection.ts";
import { JobHashes, type JobHashSettings } from "./job-hashes.ts";
import { decode, encode, type Message, originLength } from "./messages.ts";
import { Publisher } from "./publisher.ts";

interface Options {
  /** Address: `redis://` or `rediss://`. */
  url: string;
  /** Beginning of every channel's name. Default `sluice:`. */
  keyPrefix?: string;
  /** Default: no hashes are written. */
  jobHashes?: JobHashSettings;
  log?: Logger;
  clock?: Pick<Clock, "now">;
  /** How long a `wanted` counts, in milliseconds. It is repeated three times in that period. Default 30,000. */
  wantedMs?: number;
  /** Interval between checks whether each connection is alive, in milliseconds. Default 5,000. */
  heartbeatMs?: number;
  /** Time without an answer after which a connection counts as dead, in milliseconds. Default 5,000. */
  timeoutMs?: number;
  /** Maximum number of unconfirmed messages; more are dropped. Default 10,000. */
  maxUnconfirmed?: number;
}

/** An event bus for several processes, which also writes job hashes. */
export interface RedisEventBus extends EventBus {
  /** Returns the number of events and hashes since the start that did not reach Redis. */
  dropped(): number;
}

/** How long closing waits for the last events to be confirmed, in milliseconds. */
const closeWithinMs = 2000;

/**
 * Creates an event bus with two connections: one listens, one sends. Never rejects if Redis is unreachable: it still
 * notifies listeners in this process, and the rest begins when Redis is reachable.
 */
export async function createRedisEventBus(options: Options): Promise<RedisEventBus> {
  const { url, keyPrefix = "sluice:", clock = systemClock, log = pino({ level: "silent" }) } = options;
  const { wantedMs = 30_000, heartbeatMs = 5000, timeoutMs = 5000 } = options;
  const origin = randomBytes(originLength / 2).toString("hex");
  const prefix = `${keyPrefix}events:`;
  const batchChannel = `${prefix}batches`;
  const connection = (purpose: string) => connect({ url, purpose, log, heartbeatMs, timeoutMs });
  const [outgoing, incoming] = await Promise.all([connection("events-out"), connection("events-in")]);

  const listeners = new Listeners((error) => log.error({ err: error }, "caught an error in a listener of job events"));
  /** Until when other processes want the text of a job that this one listens to, by the monotonic clock. */
  const wantedUntil = new Map<JobId, number>();
  const batchListeners = new Set<{ call: () => void }>();
  const publisher = new Publisher(outgoing.redis, options.maxUnconfirmed);
  const hashes = options.jobHashes && new JobHashes(outgoing.redis, options.jobHashes, log);
  const channels = new Channels(incoming.redis, {
    log,
    onMessage: (channel, text) => {
      if (channel === batchChannel) {
        if (text !== origin) notifyOfBatches();
        return;
      }
      const message = decode(origin, jobOf(channel), text);
      if (message) receive(message);
    },
    onActive: (channel) => {
      // A message may have been lost before the channel became active.
      if (channel === batchChannel) notifyOfBatches();
      else announceWanted(jobOf(channel), { anew: true });
    },
  });
  const announceAllWanted = () => {
    for (const jobId of listeners.jobs()) announceWanted(jobId);
  };
  const repeatWanted = setInterval(announceAllWanted, wantedMs / 3);
  repeatWanted.unref();
  // The other connection may be ready first. What it announced until now was dropped.
  outgoing.redis.on("ready", announceAllWanted);
  let closed: Promise<void> | undefined;

  function notifyOfBatches(): void {
    for (const { call } of [...batchListeners]) call();
  }

  function jobOf(channel: string): JobId {
    return channel.slice(prefix.length);
  }

  function send(message: Message): void {
    publisher.publish(prefix + message.jobId, encode(origin, message));
  }

  function announceWanted(jobId: JobId, anew: { anew?: true } = {}): void {
    if (listeners.wantText(jobId)) send({ type: "wanted", jobId, ...anew });
  }

  function receive(message: Message): void {
    if (message.type === "wanted") {
      if (!listeners.has(message.jobId)) return;
      // The `wanted` with `anew` may have been sent before this process listened.
      const joined = message.anew || !wantedElsewhere(message.jobId);
      wantedUntil.set(message.jobId, clock.now() + wantedMs);
      if (joined) listeners.notifyJoined(message.jobId);
      return;
    }
    // A call begins. Its worker may not have listened yet when this process announced that it wants the text.
    if (message.type === "restart" || (message.type === "state" && message.state === "in_progress")) {
      announceWanted(message.jobId);
    }
    listeners.deliver(message);
  }

  function wantedElsewhere(jobId: JobId): boolean {
    const until = wantedUntil.get(jobId);
    return until !== undefined && clock.now() < until;
  }

  async function close(): Promise<void> {
    clearInterval(repeatWanted);
    listeners.clear();
    batchListeners.clear();
    await withTimeout(Promise.all([publisher.idle(), hashes?.idle()]));
    outgoing.close();
    incoming.close();
  }

  return {
    publish(event: JobEvent, reach = "all") {
      if (closed) return;
      listeners.deliver(event);
      if (event.type === "state") hashes?.onStateChange(event);
      if (reach === "process") return;
      if (event.type !== "tokens" || wantedElsewhere(event.jobId)) send(event);
    },

    hasListeners: (jobId) => listeners.wantText(jobId) || wantedElsewhere(jobId),

    subscribe(jobId, listener, wants = "all", onJoined?: () => void) {
      if (closed) return () => {};
      const first = !listeners.has(jobId);
      const unsubscribe = listeners.add(jobId, listener, wants, onJoined);
      if (first) channels.open(prefix + jobId);
      else if (wants === "all") {
        announceWanted(jobId, { anew: true });
        // The worker of the call may be in this process.
        queueMicrotask(() => listeners.notifyJoined(jobId));
      }
      return () => {
        unsubscribe();
        if (listeners.has(jobId)) return;
        channels.close(prefix + jobId);
        wantedUntil.delete(jobId);
      };
    },

    publishAccepted: (jobs) => hashes?.publishAccepted(jobs),

    publishBatch() {
      if (!closed) publisher.publish(batchChannel, origin);
    },

    onBatch(listener) {
      const entry = { call: listener };
      if (batchListeners.size === 0) channels.open(batchChannel);
      batchListeners.add(entry);
      return () => {
        if (batchListeners.delete(entry) && batchListeners.size === 0) channels.close(batchChannel);
      };
    },
    dropped: () => publisher.dropped + (hashes?.dropped ?? 0),

    close() {
      closed ??= close();
      return closed;
    },
  };
}

async function withTimeout(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, closeWithinMs);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
