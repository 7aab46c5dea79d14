// Finds the pause that keeps a job from starting, without a read of the store for every call.
import type { JobsContext } from "../jobs-context.ts";
import type { KnownPauses, Pause, PausedJob } from "../pause.ts";
import { servedBy } from "../served-by.ts";
import { readPauses } from "./pauses.ts";

type Context = Pick<JobsContext, "settings" | "store" | "clock">;

/** Maximum age of the cached pauses, in milliseconds. Changes by this process apply at once. */
const freshMs = 1_000;

export class PauseWatch implements KnownPauses {
  readonly #context: Context;
  #known: { pauses: Promise<Pause[]>; readAt: number } | undefined;

  constructor(context: Context) {
    this.#context = context;
  }

  changed(): void {
    this.#known = undefined;
  }

  async of(job: PausedJob): Promise<Pause | undefined> {
    const pauses = (await this.#read()).filter((pause) => this.#concerns(pause, job));
    const direct = pauses.filter(({ target }) => !("deployment" in target));
    const oldest = (list: readonly Pause[]) => [...list].sort((a, b) => a.at - b.at)[0];
    if (direct.length > 0) return oldest(direct);
    // A fallback may serve it.
    if (job.fallbackModels.length > 0) return undefined;
    const deployments = servedBy(this.#context.settings, job);
    const isPaused = (id: string) => pauses.some(({ target }) => "deployment" in target && target.deployment === id);
    return deployments.length > 0 && deployments.every(({ id }) => isPaused(id)) ? oldest(pauses) : undefined;
  }

  #concerns({ target }: Pause, job: PausedJob): boolean {
    if ("model" in target) return target.model === job.model;
    if ("deployment" in target) return servedBy(this.#context.settings, job).some(({ id }) => id === target.deployment);
    return target.tenant === job.tenant && (target.environment ?? job.environment) === job.environment;
  }

  #read(): Promise<Pause[]> {
    const now = this.#context.clock.now();
    if (!this.#known || now - this.#known.readAt > freshMs) {
      const pauses = readPauses(this.#context);
      this.#known = { pauses, readAt: now };
      pauses.catch(() => this.changed());
    }
    return this.#known.pauses;
  }
}
