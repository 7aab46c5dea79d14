// Handles synchronous calls whose process died, and with it the connections of their callers. It parks their jobs, and
// cancels them unless the callers come back within the grace period. This is the rule of
// jobs/callers/waiting-callers.ts for a crash.
import type { JobHead } from "../../domain/job.ts";
import { abandon, park, parkedForMs, unpark } from "../../jobs/callers/abandon.ts";
import { awaitRetry, readHolders } from "../../jobs/callers/caller-records.ts";
import { PresenceObserver, removeProcess } from "../../jobs/callers/presence.ts";
import { pagesOf } from "../../store/cursor.ts";
import type { WorkerContext } from "../worker-context.ts";

type OrphansContext = Pick<
  WorkerContext,
  "store" | "scheduler" | "events" | "limits" | "clock" | "log" | "settings" | "metrics"
>;

interface Orphan {
  job: JobHead;
  /** When the orphan was found, by the monotonic clock in milliseconds. */
  since: number;
  /** Whether its process is known to be dead, and a return of its caller would be recorded. */
  isConfirmed: boolean;
}

const pageSize = 5000;
const atOnce = 200;

export class Orphans {
  readonly #context: OrphansContext;
  readonly #presence: PresenceObserver;
  readonly #orphans = new Map<string, Orphan>();
  /** Dead processes whose jobs were already searched. */
  readonly #searched = new Set<string>();

  /**
   * Creates the registry.
   * @param own id of this process if it has waiting callers itself; absent if it has none
   */
  constructor(context: OrphansContext, own?: string) {
    this.#context = context;
    this.#presence = new PresenceObserver(context, { own, isAlone: context.settings.distributed === undefined });
  }

  /**
   * Returns for how long jobs must not start, in milliseconds, if their callers are not known to wait. Call it when
   * jobs are put into a rebuilt queue.
   */
  async delays(heads: readonly JobHead[]): Promise<Map<string, number>> {
    const found = await this.#among(heads);
    return new Map(found.map(({ id }) => [id, parkedForMs(this.#context)]));
  }

  /** Looks for processes that died, and applies the rule to their jobs. Call it every `beatMs`. */
  async round(): Promise<void> {
    await this.#presence.read();
    const fresh = this.#presence.dead.filter((id) => !this.#searched.has(id));
    if (fresh.length > 0) await this.#search();
    for (const processId of fresh) {
      this.#searched.add(processId);
      this.#context.log.warn({ processId }, "found a dead process that may have left callers waiting");
    }
    await this.#settle();
    const left = new Set([...this.#orphans.values()].map(({ job }) => job.waitingCaller?.processId));
    for (const id of this.#searched) {
      if (left.has(id)) continue;
      if (this.#presence.of(id) === "dead") await removeProcess(this.#context, id);
      this.#searched.delete(id);
    }
  }

  /** Reads all unfinished jobs. It runs only after a process died. */
  async #search(): Promise<void> {
    const pages = pagesOf((cursor) => this.#context.store.unfinished({ limit: pageSize, cursor }));
    for await (const page of pages) {
      const found = await this.#among(page.map(({ job }) => job));
      await inParts(found, ({ id }) => park(this.#context, id));
    }
  }

  /** Returns the jobs whose callers are not known to wait. They are orphans from now on. */
  async #among(heads: readonly JobHead[]): Promise<JobHead[]> {
    const suspects = heads.filter(({ waitingCaller: w }) => w && this.#presence.of(w.processId) !== "alive");
    if (suspects.length === 0) return [];
    const holders = await readHolders(this.#context, suspects);
    const found = suspects.filter(({ id }) => {
      const holder = holders.get(id);
      return holder && !holder.isKept && this.#presence.of(holder.processId) !== "alive";
    });
    const since = this.#context.clock.now();
    for (const job of found) {
      if (!this.#orphans.has(job.id)) this.#orphans.set(job.id, { job, since, isConfirmed: false });
    }
    return found;
  }

  async #settle(): Promise<void> {
    const orphans = [...this.#orphans.values()];
    if (orphans.length === 0) return;
    const holders = await readHolders(
      this.#context,
      orphans.map(({ job }) => job),
    );
    await inParts(orphans, async (orphan) => {
      const { job } = orphan;
      const holder = holders.get(job.id);
      const presence = holder ? this.#presence.of(holder.processId) : "dead";
      if (holder?.isKept || presence === "alive") {
        // A caller that comes back unparks its job. A process that was only frozen does not.
        if (holder?.processId === job.waitingCaller?.processId) await unpark(this.#context, job.id);
        this.#orphans.delete(job.id);
      } else if (presence === "dead" && (await this.#isOver(orphan))) {
        this.#orphans.delete(job.id);
      }
    });
  }

  /** Returns whether the job has ended. */
  async #isOver(orphan: Orphan): Promise<boolean> {
    const { job, since } = orphan;
    const returnsBy = job.waitingCaller?.returnsBy;
    const graceMs = returnsBy ? this.#context.settings.limits.callerGraceS * 1000 : 0;
    if (this.#context.clock.now() >= since + graceMs) {
      const isOver = await abandon(this.#context, job.id, true);
      if (isOver) this.#context.metrics?.jobsRepaired("orphaned", 1);
      return isOver;
    }
    if (!orphan.isConfirmed) {
      const record = await this.#context.store.get(job.id, "none");
      if (!record || record.outcome) return true;
      if (returnsBy === "retry") await awaitRetry(this.#context, record.job);
      orphan.isConfirmed = true;
    }
    return false;
  }
}

async function inParts<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < items.length; from += atOnce) await Promise.all(items.slice(from, from + atOnce).map(work));
}
