// Submits at a fixed rate while retention removes old jobs, and compares them with the same submits while it does not.
// Periods of both alternate, so that both see the same machine.
import { fork } from "node:child_process";
import { once } from "node:events";
import { answerOf } from "./support/child-answer.ts";
import { type Generator, withGenerator } from "./support/http-load.ts";
import { compare, type Figure, quantile, spreadOf } from "./support/measure.ts";

const oldJobs = 100_000;
const repeats = 5;
const rate = 100;
const warmUpS = 2;
const durationS = 4;
const body = JSON.stringify({ prompt: "Write one sentence about the sea, and one about rain.", environment: "UAT" });

export function benchRetention(): Promise<Figure[]> {
  return withGenerator(measure);
}

async function measure(generate: Generator): Promise<Figure[]> {
  const server = fork(new URL("./support/retention-server.js", import.meta.url), [String(oldJobs)]);
  const ask = (message: string) => {
    server.send(message);
    return answerOf<number>(server);
  };
  try {
    const url = `http://127.0.0.1:${await answerOf<number>(server)}/enqueue`;
    const latencies = async (seconds: number) => (await generate({ url, body, rate, durationS: seconds })).latencies;
    await latencies(warmUpS);
    const pairs: { ours: number[]; baseline: number[] }[] = [];
    const removedPerS: number[] = [];
    for (let i = 0; i < repeats; i++) {
      const baseline = await latencies(durationS);
      const before = await ask("run");
      const startedAt = performance.now();
      const ours = await latencies(durationS);
      const after = await ask("pause");
      removedPerS.push(((after - before) * 1000) / (performance.now() - startedAt));
      pairs.push({ ours, baseline });
    }
    const at = (q: number) =>
      compare(
        `POST /enqueue at ${rate}/s while ${oldJobs.toLocaleString("en")} old jobs are removed, p${q * 100}`,
        "ms",
        pairs.map((pair) => ({ ours: quantile(pair.ours, q), baseline: quantile(pair.baseline, q) })),
        "nothing is removed",
      );
    return [
      at(0.5),
      at(0.99),
      { what: "retention: jobs removed during submits", unit: "jobs/s", ours: spreadOf(removedPerS) },
    ];
  } finally {
    server.send("stop");
    await once(server, "exit");
  }
}
