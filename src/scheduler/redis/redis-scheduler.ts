// The scheduler in Redis, for any number of processes, with the same contract and the same answers as the one in
// memory. Each operation is one Lua script and therefore atomic. Large operations are split into several scripts, so
// that none blocks the server for long.
//
// It is an index of the store. Admission closes until a rebuild if Redis lost its data, shows an old snapshot, or was
// replaced by another server.
import { type Clock, systemClock } from "../../domain/clock.ts";
import { Group } from "../../domain/group.ts";
import { type JobId, newToken } from "../../domain/ids.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import { pauseKey } from "../pause-scopes.ts";
import type {
  AcquireRequest,
  AcquireResult,
  DeploymentChange,
  Explanation,
  PauseTarget,
  QueueEntry,
  RebuildTicket,
  RechargeRequest,
  RechargeResult,
  RestorePart,
  Scheduler,
  SchedulerSnapshot,
  SettleAnswer,
  Settlement,
} from "../scheduler.ts";
import type { SchedulerConfig } from "../scheduler-configuration.ts";
import { packId } from "./binary-id.ts";
import { GrantTokens } from "./grant-tokens.ts";
import { deleteGenerationsBefore } from "./leftovers.ts";
import { Notices } from "./notices.ts";
import { type Client, connect, RedisUnavailableError, refusalOf, untilReady } from "./scheduler-connection.ts";
import { addArguments, restoreArguments, settleArguments } from "./script-arguments.ts";
import {
  acquireResult,
  answers,
  deploymentChanges,
  explanation,
  knownJobs,
  rechargeResult,
  snapshotOf,
  uncountedJobs,
} from "./script-replies.ts";
import { type Argument, type OnScript, type Reply, ScriptRunner } from "./script-runner.ts";
import type { Operation } from "./scripts.ts";
import { ServerAdvice } from "./server-advice.ts";

export interface RedisSchedulerOptions {
  /** A redis:// or rediss:// URL, or a client that the caller keeps and closes. */
  redis: string | Client;
  /** Configuration to store if Redis holds none. Call `configure` to replace one that it holds. */
  config: SchedulerConfig;
  /** Hash tag of all keys. Schedulers with the same prefix share their state. Default "sluice". */
  keyPrefix?: string;
  /** Time after which an operation fails, in milliseconds. Default 2000. */
  timeoutMs?: number;
  /** This process's clock. Default: the system's. */
  clock?: Clock;
  /** For tests: returns what to use as the server's clock, in milliseconds. */
  serverTime?: () => number;
  onScript?: OnScript;
  /** Makes grant tokens, which must be unguessable except in tests. Default: random. */
  token?: () => string;
}

/** Grants per script: about 5 ms of the server's time. */
const grantsAtOnce = 100;
/** Jobs, settlements and similar items per script. */
const itemsAtOnce = 250;
/** Limits of the calls that share one script. */
const callsAtOnce = {
  maxItems: itemsAtOnce,
  weigh: (items: readonly unknown[]) => items.length,
  maxWeight: itemsAtOnce,
};

/**
 * Creates a scheduler in Redis. Also resolves while Redis is unavailable; operations then reject with a
 * RedisUnavailableError until it is back. Admission of an empty Redis is closed until a rebuild, as in a new scheduler
 * in memory.
 * @throws RedisRefusedError if a server answers that cannot hold the queue
 */
export async function createRedisScheduler(options: RedisSchedulerOptions): Promise<Scheduler> {
  const scheduler = new RedisScheduler(options);
  try {
    await scheduler.start();
  } catch (error) {
    await scheduler.close();
    throw error;
  }
  return scheduler;
}

class RedisScheduler implements Scheduler {
  readonly #client: Client;
  readonly #ownsClient: boolean;
  readonly #prefix: string;
  readonly #timeoutMs: number;
  readonly #runner: ScriptRunner;
  readonly #notices: Notices;
  readonly #tokens: GrantTokens;
  readonly #advice: ServerAdvice;
  readonly #changeListeners = new Set<(change: DeploymentChange) => void>();
  /** One script of each of these runs at a time. It carries all calls that arrived while the one before it ran. */
  readonly #adding = new Group((parts: (readonly QueueEntry[])[]) => this.#add(parts), callsAtOnce);
  readonly #settling = new Group((parts: (readonly Settlement[])[]) => this.#settle(parts), callsAtOnce);
  readonly #onReady = () => this.#notices.notify();
  #closed = false;

  constructor(options: RedisSchedulerOptions) {
    const { redis, keyPrefix = "sluice", timeoutMs = 2000, clock = systemClock, serverTime, onScript } = options;
    this.#ownsClient = typeof redis === "string";
    this.#client = typeof redis === "string" ? connect(redis, timeoutMs) : redis;
    this.#prefix = `{${keyPrefix}}:`;
    this.#timeoutMs = timeoutMs;
    const runner = { client: this.#client, prefix: this.#prefix, clock, ...(serverTime && { serverTime }), onScript };
    this.#runner = new ScriptRunner(runner, JSON.stringify(options.config));
    // Adding no jobs notifies an idle process if jobs wait.
    const passOn = () => void this.#runner.run("enqueue", addArguments([])).catch(() => {});
    this.#notices = new Notices(this.#client, this.#prefix, passOn);
    this.#advice = new ServerAdvice(this.#client, clock);
    this.#tokens = new GrantTokens(options.token ?? newToken);
    this.#client.on("ready", this.#onReady);
    // Without a listener, a connection error would end the process. The client reconnects by itself.
    if (this.#ownsClient) this.#client.on("error", () => {});
  }

  async start(): Promise<void> {
    await untilReady(this.#client, this.#timeoutMs);
    await this.#notices.start(this.#timeoutMs);
    await this.#runner.open().catch((error) => {
      const refusal = refusalOf(error);
      if (refusal || !(error instanceof RedisUnavailableError)) throw refusal ?? error;
    });
  }

  async configure(config: SchedulerConfig): Promise<void> {
    const [changes] = await this.#runner.run("configure", [JSON.stringify(config)]);
    this.#notifyChanges(changes);
  }

  async setTenantWeights(tenants: Record<string, number>): Promise<void> {
    await this.#runner.run("set_tenant_weights", [JSON.stringify(tenants)]);
  }

  async enqueue(entries: readonly QueueEntry[]): Promise<number> {
    const added = await Promise.all(Array.from(pages(entries), (part) => this.#adding.add(part)));
    return added.reduce((sum, count) => sum + count, 0);
  }

  async acquire(request: AcquireRequest): Promise<AcquireResult> {
    const result = await this.#acquirePart(request, 0, request.max);
    for (let part = 1; result.retryInMs === 0 && result.grants.length < request.max; part++) {
      if (result.impossible.length > 0) break;
      const more = await this.#acquirePart(request, part, request.max - result.grants.length);
      result.grants.push(...more.grants);
      result.impossible.push(...more.impossible);
      result.retryInMs = more.retryInMs;
      result.jobsWait = more.jobsWait;
    }
    if (result.retryInMs === undefined) delete result.retryInMs;
    if (result.jobsWait === undefined) delete result.jobsWait;
    return result;
  }

  /** @param free how many jobs the process can still take; one script grants at most `grantsAtOnce` of them */
  async #acquirePart(request: AcquireRequest, part: number, free: number): Promise<AcquireResult> {
    const max = Math.min(free, grantsAtOnce);
    const { operation, environments, deployments } = request;
    const tokens = this.#tokens.draw(max);
    const { process } = this.#notices;
    const continues = max < free || undefined;
    const what = JSON.stringify({ max, environments, deployments, process, continues });
    const args = [`${operation} ${part}`, what, ...tokens.map(packId)];
    const result = acquireResult(await this.#runner.run("acquire", args));
    const used = new Set(result.grants.map((grant) => grant.grant));
    this.#tokens.reuse(tokens.filter((token) => !used.has(token)));
    return result;
  }

  async recharge({ operation, jobId, grant, isSent }: RechargeRequest): Promise<RechargeResult> {
    const args = [operation, packId(jobId), packId(grant), isSent ? "1" : ""];
    return rechargeResult(await this.#runner.run("recharge", args));
  }

  async renew(leases: readonly { jobId: JobId; grant: string }[]): Promise<("renewed" | "lost")[]> {
    return this.#answers("renew", leases, ({ jobId, grant }) => [packId(jobId), packId(grant)]);
  }

  async settle(settlements: readonly Settlement[]): Promise<SettleAnswer[]> {
    return (await Promise.all(Array.from(pages(settlements), (part) => this.#settling.add(part)))).flat();
  }

  async remove(jobIds: readonly JobId[]): Promise<("waiting" | "running" | "absent")[]> {
    return this.#answers("remove", jobIds, (jobId) => [packId(jobId)]);
  }

  async listUncounted(limit: number): Promise<{ jobId: JobId; environment: string; models: readonly string[] }[]> {
    return uncountedJobs(await this.#runner.run("list_uncounted", [limit]));
  }

  async setTokenCounts(counts: readonly { jobId: JobId; tokens: TokenCount }[]): Promise<void> {
    for (const part of pages(counts)) {
      const args = part.flatMap(({ jobId, tokens }) => [packId(jobId), tokens.input, tokens.output]);
      await this.#runner.run("set_token_counts", args);
    }
  }

  async explain(jobId: JobId): Promise<Explanation> {
    return explanation(await this.#runner.run("explain", [packId(jobId)]));
  }

  async estimatePosition(entry: QueueEntry, more = 0): Promise<Explanation> {
    return explanation(await this.#runner.run("explain", [packId(entry.jobId), more, ...addArguments([entry])]));
  }

  async update(entry: QueueEntry): Promise<"waiting" | "running"> {
    const [answer] = await this.#runner.run("update", addArguments([entry]));
    return String(answer) as "waiting" | "running";
  }

  async snapshot(): Promise<SchedulerSnapshot> {
    const [reply, advice] = await Promise.all([this.#runner.run("snapshot", []), this.#advice.get()]);
    return { ...snapshotOf(reply, this.#runner.configVersion), ...(advice.length > 0 && { advice }) };
  }

  async resetLearnedLimits(quota?: string): Promise<void> {
    await this.#runner.run("reset_learned_limits", [quota ?? ""]);
  }

  async reinstate(deployment: string): Promise<void> {
    const [changes] = await this.#runner.run("reinstate", [deployment]);
    this.#notifyChanges(changes);
  }

  async pause(target: PauseTarget): Promise<void> {
    await this.#runner.run("pause", ["1", pauseKey(target)]);
  }

  async resume(target: PauseTarget): Promise<void> {
    await this.#runner.run("pause", ["0", pauseKey(target)]);
  }

  async beginRebuild(): Promise<RebuildTicket | undefined> {
    const [id] = this.#tokens.draw(1);
    const [isOurs] = await this.#runner.run("begin_rebuild", [id!]);
    return isOurs === 1 ? { id: id! } : undefined;
  }

  async restore(ticket: RebuildTicket, part: RestorePart): Promise<void> {
    const { entries = [], charges = [], leases = [], learned = [], paused = [] } = part;
    for (const page of pages(charges)) await this.#restore(ticket, { charges: page });
    for (const page of pages(entries)) await this.#restore(ticket, { entries: page });
    for (const page of pages(leases)) await this.#restore(ticket, { leases: page });
    await this.#restore(ticket, { learned, paused });
  }

  async #restore(ticket: RebuildTicket, part: RestorePart): Promise<void> {
    await this.#runner.run("restore", restoreArguments(ticket.id, part));
  }

  async finishRebuild(ticket: RebuildTicket): Promise<void> {
    const [generation] = await this.#runner.run("finish_rebuild", [ticket.id]);
    if (generation === 0) return;
    // If Redis becomes unavailable or the process ends first, the next rebuild deletes the rest.
    deleteGenerationsBefore(generation as number, this.#client, this.#prefix).catch(() => {});
  }

  onWork(listener: () => void): () => void {
    return this.#notices.onWork(listener);
  }

  onDeploymentChange(listener: (change: DeploymentChange) => void): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  #notifyChanges(rows: unknown): void {
    for (const change of deploymentChanges(rows)) {
      for (const listener of this.#changeListeners) listener(change);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#notices.close();
    this.#changeListeners.clear();
    this.#client.off("ready", this.#onReady);
    if (this.#ownsClient) this.#client.disconnect();
  }

  /** Returns how many jobs of each part were added. */
  async #add(parts: (readonly QueueEntry[])[]): Promise<number[]> {
    const known = knownJobs(await this.#runner.run("enqueue", addArguments(parts.flat())));
    let from = 0;
    return parts.map(({ length }) => {
      const to = from + length;
      const knownOfPart = known.filter((place) => place >= from && place < to);
      from = to;
      return length - knownOfPart.length;
    });
  }

  async #settle(parts: (readonly Settlement[])[]): Promise<SettleAnswer[][]> {
    const reply = await this.#runner.run("settle", parts.flat().flatMap(settleArguments));
    const all = answers<SettleAnswer>(reply);
    this.#notifyChanges(reply[1]);
    return parts.map(({ length }) => all.splice(0, length));
  }

  async #answers<I, A extends string>(
    operation: Operation,
    items: readonly I[],
    argumentsOf: (item: I) => Argument[],
  ): Promise<A[]> {
    const all: A[] = [];
    for (const part of pages(items)) {
      const reply: Reply = await this.#runner.run(operation, part.flatMap(argumentsOf));
      all.push(...answers<A>(reply));
    }
    return all;
  }
}

function* pages<T>(items: readonly T[]): Iterable<readonly T[]> {
  for (let at = 0; at < items.length; at += itemsAtOnce) yield items.slice(at, at + itemsAtOnce);
}
