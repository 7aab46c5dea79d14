// Durable POST /enqueue from 64 connections, compared with the same Fastify route that stores nothing. The server is a process
// of its own, so that on two cores it does not share one with who sends the requests.
import { fork } from "node:child_process";
import { once } from "node:events";
import autocannon from "autocannon";
import { compare, type Figure, quantile, spreadOf } from "./support/measure.ts";
import { openLoop } from "./support/open-loop.ts";

const repeats = 5;
const connections = 64;
const warmUpS = 1;
const durationS = 4;
const body = JSON.stringify({ prompt: "Write one sentence about the sea, and one about rain.", environment: "UAT" });

type Mode = "durable" | "measured" | "nothing";

export async function benchEnqueue(): Promise<Figure[]> {
  const rates: { ours: number; baseline: number }[] = [];
  for (let i = 0; i < repeats; i++) {
    rates.push({ ours: await withServer("durable", fullLoad), baseline: await withServer("nothing", fullLoad) });
  }
  const half = Math.floor(spreadOf(rates.map((r) => r.ours)).median / 2);
  const latencies: { ours: number[]; baseline: number[] }[] = [];
  const halfLoad = async (url: string) => {
    await openLoop(url, body, half, warmUpS);
    return openLoop(url, body, half, durationS);
  };
  for (let i = 0; i < repeats; i++) {
    latencies.push({ ours: await withServer("durable", halfLoad), baseline: await withServer("nothing", halfLoad) });
  }
  const baseline = "same route, nothing stored";
  const atHalf = (q: number) =>
    compare(
      `durable POST /enqueue at ${half}/s (half load), p${q * 100}`,
      "ms",
      latencies.map((l) => ({ ours: quantile(l.ours, q), baseline: quantile(l.baseline, q) })),
      baseline,
      "ratio <= 2",
    );
  return [
    compare(`durable POST /enqueue, ${connections} connections`, "requests/s", rates, baseline, "ratio >= 0.8"),
    atHalf(0.5),
    atHalf(0.9),
  ];
}

/** Requests per second, as many as are answered. */
async function fullLoad(url: string): Promise<number> {
  await load(url, { duration: warmUpS });
  const startedAt = performance.now();
  const requests = await load(url, { duration: durationS });
  return requests / ((performance.now() - startedAt) / 1000);
}

const requestsForCpu = 20_000;

/** CPU time of the server for each request under full load, in microseconds. */
export function cpuOfRequest(mode: Mode): Promise<number> {
  return withServer(mode, async (url, cpuUs) => {
    await load(url, { amount: requestsForCpu / 4 });
    const before = await cpuUs();
    await load(url, { amount: requestsForCpu });
    return ((await cpuUs()) - before) / requestsForCpu;
  });
}

/** Sends requests for a time or up to a number, and returns how many were answered. */
async function load(url: string, howMuch: { duration: number } | { amount: number }): Promise<number> {
  const headers = { "content-type": "application/json" };
  const { requests, non2xx, errors } = await autocannon({
    url,
    method: "POST",
    headers,
    body,
    connections,
    ...howMuch,
  });
  if (non2xx + errors > 0) throw new Error(`${non2xx} requests were refused and ${errors} failed.`);
  return requests.total;
}

/** @param measure gets the server's address, and what reads its CPU time so far in microseconds */
async function withServer<T>(
  mode: Mode,
  measure: (url: string, cpuUs: () => Promise<number>) => Promise<T>,
): Promise<T> {
  const server = fork(new URL("./support/enqueue-server.js", import.meta.url), [mode]);
  const answer = async () => ((await once(server, "message")) as [number])[0];
  try {
    const port = await answer();
    return await measure(`http://127.0.0.1:${port}/enqueue`, () => {
      server.send("cpu");
      return answer();
    });
  } finally {
    server.send("stop");
    await once(server, "exit");
  }
}
