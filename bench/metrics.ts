// What metrics cost: the CPU time of durable submits and of the drain of a queue, measured and scraped every 15 s, compared
// with the same without metrics. CPU time, because the cost is smaller than what the rate varies by on a shared machine.
import { cpuOfJob } from "./drain.ts";
import { cpuOfRequest } from "./enqueue.ts";
import { compare, type Figure } from "./support/measure.ts";

const repeats = 7;
const baseline = "without metrics";
const goal = "ratio <= 1.05";

export async function benchMetrics(): Promise<Figure[]> {
  const submits = await inTurn((metrics) => cpuOfRequest(metrics ? "measured" : "durable"));
  const drains = await inTurn(cpuOfJob);
  return [
    compare("CPU of a durable POST /enqueue with metrics", "us", submits, baseline, goal),
    compare("CPU of the drain of a job with metrics", "us", drains, baseline, goal),
  ];
}

/** Measures pairs. Every other pair begins without metrics, because the machine may slow down or warm up. */
async function inTurn(measure: (metrics: boolean) => Promise<number>) {
  const pairs: { ours: number; baseline: number }[] = [];
  for (let i = 0; i < repeats; i++) {
    const withFirst = i % 2 === 0;
    const first = await measure(withFirst);
    const second = await measure(!withFirst);
    pairs.push(withFirst ? { ours: first, baseline: second } : { ours: second, baseline: first });
  }
  return pairs;
}
