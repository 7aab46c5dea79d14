// Events across processes, over Redis pub/sub: a channel for each job that somebody listens to.
//
// What nobody listens to costs a PUBLISH of some 140 bytes (4 to 6 us here, 2 us there) and is delivered to nobody. One
// channel per environment would deliver every event to every process instead: at 10,000 jobs a second that is 30,000
// messages to parse in each. Plain PUBLISH also works on Redis Cluster, whichever node a process is connected to.
//
// Text is sent only for jobs that another process wants the text of. Such a process says `wanted` on the job's channel:
// when it or another of its listeners begins to listen (`anew`: the worker says again what it has said), whenever it
// hears that a call begins, and every 10 s. Whoever hears it sends text for 30 s from then. So a worker knows without asking, nothing has to be cleaned up after a process that died, and an emptied
// or replaced Redis makes no difference. The worker hears it because it listens to the job that it runs (for states).
import { randomBytes } from "node:crypto";
import { type Logger, pino } from "pino";
import { type Clock, systemClock } from "../../domain/clock.ts";
import type { JobId } from "../../domain/ids.ts";
import type { Job } from "../../domain/job.ts";
import type { EventBus, JobEvent } from "../event-bus.ts";
import { Listeners } from "../listeners.ts";
import { Channels } from "./channels.ts";
import { connect } from "./event-connection.ts";
import { JobHashes, type JobHashSettings } from "./job-hashes.ts";
import { decode, encode, type Message, originLength } from "./messages.ts";
import { Publisher } from "./publisher.ts";

interface Options {
  /** `redis://` or `rediss://`. */
  url: string;
  /** Begins the name of every channel. Default `sluice:`. */
  keyPrefix?: string;
  /** Default: no hashes are written. */
  jobHashes?: JobHashSettings;
  log?: Logger;
  clock?: Pick<Clock, "now">;
  /** How long a `wanted` counts; it is repeated three times as often. Default 30,000. */
  wantedMs?: number;
  /** How often each connection is asked whether it is alive, and how long it may take to answer. Default 5,000 both. */
  heartbeatMs?: number;
  timeoutMs?: number;
  /** Messages that may be on their way to Redis; further ones are dropped. Default 10,000. */
  maxUnconfirmed?: number;
}

export interface RedisEventBus extends EventBus {
  /** Told of jobs that were accepted, for their hashes. Never throws and never waits. */
  accepted(jobs: readonly Job[]): void;
  /** Events and hashes that did not reach Redis since the start. */
  dropped(): number;
}

/** How long closing waits for the last events to be confirmed. */
const closeWithinMs = 2000;

/**
 * Two connections: one that listens and one that sends. Never rejects because Redis is away: listeners in this process
 * are told without it, and the rest begins when it is there.
 */
export async function createRedisEventBus(options: Options): Promise<RedisEventBus> {
  const { url, keyPrefix = "sluice:", clock = systemClock, log = pino({ level: "silent" }) } = options;
  const { wantedMs = 30_000, heartbeatMs = 5000, timeoutMs = 5000 } = options;
  const origin = randomBytes(originLength / 2).toString("hex");
  const prefix = `${keyPrefix}events:`;
  const connection = (purpose: string) => connect({ url, purpose, log, heartbeatMs, timeoutMs });
  const [outgoing, incoming] = await Promise.all([connection("events-out"), connection("events-in")]);

  const listeners = new Listeners((error) => log.error({ err: error }, "caught an error in a listener of job events"));
  /** Until when other processes want the text of a job that this one listens to; by the monotonic clock. */
  const wantedUntil = new Map<JobId, number>();
  const publisher = new Publisher(outgoing.redis, options.maxUnconfirmed);
  const hashes = options.jobHashes && new JobHashes(outgoing.redis, options.jobHashes, log);
  const channels = new Channels(incoming.redis, {
    log,
    onMessage: (channel, text) => {
      const message = decode(origin, jobOf(channel), text);
      if (message) hear(message);
    },
    onActive: (channel) => announceWanted(jobOf(channel), { anew: true }),
  });
  const announceAllWanted = () => {
    for (const jobId of listeners.jobs()) announceWanted(jobId);
  };
  const repeatWanted = setInterval(announceAllWanted, wantedMs / 3);
  repeatWanted.unref();
  // The other connection may be back first, and what it gave reason to say was dropped then.
  outgoing.redis.on("ready", announceAllWanted);
  let closed: Promise<void> | undefined;

  function jobOf(channel: string): JobId {
    return channel.slice(prefix.length);
  }

  function send(message: Message): void {
    publisher.publish(prefix + message.jobId, encode(origin, message));
  }

  function announceWanted(jobId: JobId, anew: { anew?: true } = {}): void {
    if (listeners.wantText(jobId)) send({ type: "wanted", jobId, ...anew });
  }

  function hear(message: Message): void {
    if (message.type === "wanted") {
      if (!listeners.has(message.jobId)) return;
      // The one that said `anew` may have been sent before this process listened.
      const joined = message.anew || !wantedElsewhere(message.jobId);
      wantedUntil.set(message.jobId, clock.now() + wantedMs);
      if (joined) listeners.joined(message.jobId);
      return;
    }
    // A call begins; whoever makes it may not have listened when this process said that it wants the text.
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
    await inTime(Promise.all([publisher.idle(), hashes?.idle()]));
    outgoing.close();
    incoming.close();
  }

  return {
    publish(event: JobEvent) {
      if (closed) return;
      listeners.deliver(event);
      if (event.type === "state") hashes?.changed(event);
      if (event.type !== "tokens" || wantedElsewhere(event.jobId)) send(event);
    },

    hasListeners: (jobId) => listeners.wantText(jobId) || wantedElsewhere(jobId),

    subscribe(jobId, listener, wants = "all", onJoined?: () => void) {
      if (closed) return () => {};
      const first = !listeners.has(jobId);
      const leave = listeners.add(jobId, listener, wants, onJoined);
      if (first) channels.open(prefix + jobId);
      else if (wants === "all") {
        announceWanted(jobId, { anew: true });
        // Whoever makes the call may be in this process.
        queueMicrotask(() => listeners.joined(jobId));
      }
      return () => {
        leave();
        if (listeners.has(jobId)) return;
        channels.close(prefix + jobId);
        wantedUntil.delete(jobId);
      };
    },

    accepted: (jobs) => hashes?.accepted(jobs),
    dropped: () => publisher.dropped + (hashes?.dropped ?? 0),

    close() {
      closed ??= close();
      return closed;
    },
  };
}

async function inTime(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, closeWithinMs);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
