// Adds up the lines of a batch while they are read: what they reserve, what they cost, and which quota delays them
// most. It groups lines by kind: model, priority, tier, regions, fallbacks and foundation model. It keeps only sums of
// each kind, so a million lines take no more memory than one.
import type { DeploymentSettings, QuotaSettings, Settings } from "../../config/settings.ts";
import type { Job, JobHead } from "../../domain/job.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import { reservedCost } from "../../scheduler/cost.ts";
import { servedBy } from "../served-by.ts";
import { type Binding, type CostRange, costRange } from "../submit/dry-run.ts";

/** Totals of all lines, or of the lines of a model. */
export interface Totals {
  lines: number;
  /** Tokens as reserved. */
  tokens: TokenCount;
  /** Cost from empty answers at the cheapest deployments to answers of max_tokens at the dearest. */
  cost?: CostRange;
  /** The quota that takes longest to admit all lines. */
  binding?: Binding;
}

export interface ModelTotals extends Totals {
  model: string;
}

/** Lines that differ only in text and size. */
export interface Kind {
  /** The first line of the kind. */
  head: JobHead;
  tier: string | undefined;
  lines: number;
  tokens: TokenCount;
}

/** Number of kinds after which lines are grouped only by model, priority and tier, of which there are few. */
const maxKinds = 256;
const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

export class LineTotals {
  readonly #settings: Pick<Settings, "models">;
  readonly #kinds = new Map<string, Kind>();
  /** The first line. */
  first?: JobHead;

  constructor(settings: Pick<Settings, "models">) {
    this.#settings = settings;
  }

  readonly add = (job: Job): void => {
    const { model, priority, regions, fallbackModels, baseModel, request } = job;
    const tokens = job.totalTokens ?? job.tokens;
    const coarse = `${model} ${priority} ${request.serviceTier}`;
    const key =
      this.#kinds.size < maxKinds ? `${coarse} ${regions?.join()} ${fallbackModels.join()} ${baseModel}` : coarse;
    let kind = this.#kinds.get(key);
    if (!kind) {
      const { request: _, ...head } = job;
      this.first ??= head;
      kind = { head, tier: request.serviceTier, lines: 0, tokens: { input: 0, output: 0 } };
      this.#kinds.set(key, kind);
    }
    kind.lines++;
    kind.tokens.input += tokens.input;
    kind.tokens.output += tokens.output;
  };

  /** Returns the kinds with the most lines. */
  kinds(atMost: number): Kind[] {
    return [...this.#kinds.values()].sort((a, b) => b.lines - a.lines).slice(0, atMost);
  }

  /**
   * Returns the totals.
   * @returns `quotaMs`: milliseconds until the binding quotas admit the last line, if they admit nothing else
   */
  end(): { sum: Totals; models: ModelTotals[]; quotaMs: number } {
    const byModel = new Map<string, Kind[]>();
    for (const kind of this.#kinds.values()) {
      const { model } = kind.head;
      byModel.set(model, [...(byModel.get(model) ?? []), kind]);
    }
    const models = [...byModel].map(([model, kinds]) => ({ model, ...this.#totalsOf(kinds) }));
    const sum = this.#totalsOf([...this.#kinds.values()]);
    const { binding } = sum;
    return {
      sum,
      models: models.sort((a, b) => b.lines - a.lines),
      // The first window's amount need not wait.
      quotaMs: binding ? Math.max(0, durationOf(binding) - windowOf(binding)) : 0,
    };
  }

  #totalsOf(kinds: readonly Kind[]): Totals {
    let lines = 0;
    const tokens = { input: 0, output: 0 };
    let cost: CostRange | undefined = { min: 0, max: 0 };
    for (const kind of kinds) {
      lines += kind.lines;
      tokens.input += kind.tokens.input;
      tokens.output += kind.tokens.output;
      const own = costRange(servedBy(this.#settings, kind.head), kind.tier, { ...kind.tokens, output: 0 }, kind.tokens);
      cost = own && cost && { min: cost.min + own.min, max: cost.max + own.max };
    }
    const binding = this.#bindingOf(kinds);
    return { lines, tokens, ...(cost && { cost }), ...(binding && { binding }) };
  }

  /**
   * Returns the quota that delays the lines most. It assumes that lines are distributed so that all deployments of a
   * model finish together.
   */
  #bindingOf(kinds: readonly Kind[]): Binding | undefined {
    const demands = new Map<string, Binding>();
    for (const kind of kinds) {
      const deployments = servedBy(this.#settings, kind.head).map((deployment) => ({
        deployment,
        takesMs: Math.max(0, ...deployment.quotas.map((quota) => durationOf(demandOf(deployment, quota, kind)))),
      }));
      // A deployment without limits delays nothing.
      if (deployments.some(({ takesMs }) => takesMs === 0)) continue;
      const speed = deployments.reduce((sum, { takesMs }) => sum + 1 / takesMs, 0);
      for (const { deployment, takesMs } of deployments) {
        for (const quota of deployment.quotas) {
          const demand = demandOf(deployment, quota, kind);
          const takes = demand.takes / takesMs / speed + (demands.get(quota.name)?.takes ?? 0);
          demands.set(quota.name, { ...demand, takes });
        }
      }
    }
    const [binding] = [...demands.values()].sort((a, b) => durationOf(b) - durationOf(a));
    return binding && { ...binding, takes: Math.round(binding.takes) };
  }
}

/** Returns what a deployment's quota would be charged for all lines of the kind. */
function demandOf(deployment: DeploymentSettings, quota: QuotaSettings, { lines, tokens }: Kind): Binding {
  const { name, unit, per, limit } = quota;
  const takes = unit === "requests" ? lines : reservedCost(unit, tokens, deployment.outputBurndown);
  return { deployment: deployment.id, quota: name, unit, per, limit, takes };
}

/** Returns how long the quota alone takes to admit the demand, in milliseconds. */
function durationOf(demand: Binding): number {
  return (demand.takes / demand.limit) * windowOf(demand);
}

function windowOf({ per }: Pick<Binding, "per">): number {
  return per === "day" ? dayMs : minuteMs;
}
