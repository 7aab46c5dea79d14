// Compares durable POST /enqueue with the same Fastify route that stores nothing. It measures the rate with 64
// connections, the CPU time of a request, and the latency at a tenth, a half and nine tenths of that rate. The server
// and the load are processes of their own. "One durable write" inserts a job into the idle store, the least that a
// request needs.
import { fork } from "node:child_process";
import { once } from "node:events";
import autocannon from "autocannon";
import { answerOf } from "./support/child-answer.ts";
import type { Answers } from "./support/enqueue-server.ts";
import { type Generator, type Loaded, withGenerator } from "./support/http-load.ts";
import { compare, type Figure, quantile, spreadOf } from "./support/measure.ts";

const repeats = 3;
const connections = 64;
const warmUpS = 1;
const durationS = 3;
const openLoopS = 2;
/** Loads to measure the latency at, as shares of full load. */
const shares = [0.1, 0.5, 0.9];
const body = JSON.stringify({ prompt: "Write one sentence about the sea, and one about rain.", environment: "UAT" });
const route = "durable POST /enqueue";
const nothing = "same route, nothing stored";

type Mode = "durable" | "measured" | "nothing";

/** Results of one repeat. CPU times are in microseconds per request. */
interface FullLoad {
  perS: number;
  mainUs: number;
  otherThreadsUs: number;
  generatorUs: number;
}

interface Repeat {
  nothing: FullLoad;
  durable: FullLoad;
  /** Writes in each commit under full load, ascending. */
  groups: number[];
  /** Times of one durable write, in milliseconds, ascending. */
  write: number[];
  /** Latencies by share of full load. */
  loads: Loaded[];
  /** Latencies of the route that stores nothing, at half of the full load of the durable route. */
  halfLoad: Loaded;
}

export async function benchEnqueue(): Promise<Figure[]> {
  const all: Repeat[] = [];
  for (let i = 0; i < repeats; i++) all.push(await withGenerator(repeat));
  const cannon = {
    ours: await withServer("durable", ({ url }) => cannonLoad(url)),
    baseline: await withServer("nothing", ({ url }) => cannonLoad(url)),
  };
  const pairs = (of: (load: FullLoad) => number) => all.map((r) => ({ ours: of(r.durable), baseline: of(r.nothing) }));
  const figure = (what: string, unit: string, ours: (r: Repeat) => number): Figure => ({
    what,
    unit,
    ours: spreadOf(all.map(ours)),
  });
  const cpu = (part: string, of: (load: FullLoad) => number, goal?: string) =>
    compare(`${part} CPU for a request`, "us", pairs(of), nothing, goal);
  const latency = (what: string, load: (r: Repeat) => Loaded, q: number, goal?: string) =>
    compare(
      `${what}, p${q * 100}`,
      "ms",
      all.map((r) => ({ ours: quantile(load(r).latencies, q), baseline: quantile(r.write, 0.5) })),
      "one durable write, p50",
      goal,
    );
  const atLoad = (share: number, at: number) => {
    const what = `${share * 100} % of full load`;
    const load = (r: Repeat) => r.loads[at]!;
    return [
      latency(`${route} at ${what}`, load, 0.5, share === 0.5 ? "ratio <= 2.5" : undefined),
      latency(`${route} at ${what}`, load, 0.9),
      latency(`${route} at ${what}`, load, 0.99, share === 0.5 ? "ratio <= 4" : undefined),
      figure(`load generator late at ${what}, p99`, "ms", (r) => quantile(load(r).lateness, 0.99)),
    ];
  };
  return [
    compare(
      `${route}, ${connections} connections`,
      "requests/s",
      pairs((r) => r.perS),
      nothing,
      "ratio >= 0.8",
    ),
    compare(`${route}, ${connections} connections of autocannon`, "requests/s", [cannon], nothing),
    cpu("main thread's", (r) => r.mainUs, "ratio <= 1.25"),
    cpu("other threads'", (r) => r.otherThreadsUs),
    cpu("load generator's", (r) => r.generatorUs),
    ...[0, 0.1, 0.5, 0.9, 1].map((q) =>
      figure(`writes in a commit at full load, p${q * 100}`, "writes", (r) => quantile(r.groups, q)),
    ),
    ...shares.flatMap(atLoad),
    ...[0.5, 0.99].map((q) => latency(`${nothing}, at the same half load`, (r) => r.halfLoad, q)),
  ];
}

async function repeat(generate: Generator): Promise<Repeat> {
  const atLoad = ({ url }: Server, rate: number) => generate({ url, body, rate, durationS: openLoopS });
  const ours = await withServer("durable", async (server) => {
    const durable = await fullLoad(generate, server);
    const groups = (await server.ask("groups")).sort((a, b) => a - b);
    const writes = [await server.ask("writes")];
    const loads: Loaded[] = [];
    for (const share of shares) {
      loads.push(await atLoad(server, durable.perS * share));
      writes.push(await server.ask("writes"));
    }
    return { durable, groups, write: writes.flat().sort((a, b) => a - b), loads };
  });
  return withServer("nothing", async (server) => ({
    ...ours,
    nothing: await fullLoad(generate, server),
    halfLoad: await atLoad(server, ours.durable.perS / 2),
  }));
}

async function fullLoad(generate: Generator, { url, ask }: Server): Promise<FullLoad> {
  await generate({ url, body, connections, durationS: warmUpS });
  await ask("groups");
  const before = await ask("cpu");
  const { perS, cpuUs, latencies } = await generate({ url, body, connections, durationS });
  const after = await ask("cpu");
  const mainUs = (after.mainUs - before.mainUs) / latencies.length;
  const processUs = (after.processUs - before.processUs) / latencies.length;
  return { perS, mainUs, otherThreadsUs: processUs - mainUs, generatorUs: cpuUs };
}

const requestsForCpu = 20_000;

/** CPU time of the server for each request under full load, in microseconds. */
export function cpuOfRequest(mode: Mode): Promise<number> {
  return withGenerator((generate) =>
    withServer(mode, async ({ url, ask }) => {
      await generate({ url, body, connections, amount: requestsForCpu / 4 });
      const before = await ask("cpu");
      await generate({ url, body, connections, amount: requestsForCpu });
      return ((await ask("cpu")).processUs - before.processUs) / requestsForCpu;
    }),
  );
}

/** Requests per second of autocannon, which takes most of a core for itself. */
async function cannonLoad(url: string): Promise<number> {
  const headers = { "content-type": "application/json" };
  const options = { url, method: "POST" as const, headers, body, connections };
  await autocannon({ ...options, duration: warmUpS });
  const startedAt = performance.now();
  const { requests, non2xx, errors } = await autocannon({ ...options, duration: durationS });
  if (non2xx + errors > 0) throw new Error(`${non2xx} requests were refused and ${errors} failed.`);
  return requests.total / ((performance.now() - startedAt) / 1000);
}

interface Server {
  url: string;
  ask<K extends keyof Answers>(question: K): Promise<Answers[K]>;
}

async function withServer<T>(mode: Mode, measure: (server: Server) => Promise<T>): Promise<T> {
  const process = fork(new URL("./support/enqueue-server.js", import.meta.url), [mode]);
  try {
    const url = `http://127.0.0.1:${await answerOf<number>(process)}/enqueue`;
    return await measure({
      url,
      ask: (question) => {
        process.send(question);
        return answerOf(process);
      },
    });
  } finally {
    process.send("stop");
    await once(process, "exit");
  }
}
