// What the lines of a running batch have cost so far. The service sums it up only when the batch has ended, so this reads
// the cost of up to 100 completed lines and takes their mean for the others.
import type { BatchResource, SluiceClient } from "../client/index.ts";
import type { Progress } from "./progress-bar.ts";

const maxSamples = 100;
const samplesAtATime = 8;

export class BatchCost {
  readonly #service: SluiceClient;
  readonly #costs = new Map<string, number>();

  constructor(service: SluiceClient) {
    this.#service = service;
  }

  /** Returns undefined while nothing has completed, or if the prices are not known. Never rejects. */
  async of(batch: BatchResource): Promise<Progress["cost"]> {
    const { completed } = batch.request_counts;
    if (batch.cost_usd !== undefined) return { usd: batch.cost_usd, exact: !batch.cost_usd_estimated };
    if (completed === 0) return undefined;
    try {
      await this.#sample(batch.id);
    } catch {
      // A progress bar without the cost is better than none.
    }
    if (this.#costs.size === 0) return undefined;
    const sum = [...this.#costs.values()].reduce((a, b) => a + b, 0);
    return { usd: (sum / this.#costs.size) * completed, exact: this.#costs.size >= completed };
  }

  async #sample(batch: string): Promise<void> {
    if (this.#costs.size >= maxSamples) return;
    const ids: string[] = [];
    for await (const { job_id } of this.#service.list({ batch, status: "completed" })) {
      if (!this.#costs.has(job_id)) ids.push(job_id);
      if (ids.length === samplesAtATime) break;
    }
    for (const { job_id, cost_usd } of await Promise.all(ids.map((id) => this.#service.get(id)))) {
      if (cost_usd !== null) this.#costs.set(job_id, cost_usd);
    }
  }
}
