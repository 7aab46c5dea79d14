// How long a prompt that comes to an idle service takes to reach the provider. Between accept and call lies one durable
// write, the attempt. The baseline is the same store's bare durable write of one job.

import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createHttpServer } from "../src/http/server.ts";
import { WaitingCallers } from "../src/jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../src/jobs/control/pause-watch.ts";
import { openKeyRegistry } from "../src/jobs/keys/key-registry.ts";
import { makeJobs, openEmbedded } from "./support/embedded.ts";
import { compare, type Figure, quantile } from "./support/measure.ts";

const repeats = 5;
const prompts = 200;

export async function benchIdleLatency(): Promise<Figure[]> {
  const rounds: Round[] = [];
  for (let i = 0; i < repeats; i++) rounds.push(await round());
  const figure = (what: string, ours: (r: Round) => number[], q: number, goal?: string) =>
    compare(
      `${what}, p${q * 100}`,
      "ms",
      rounds.map((r) => ({ ours: quantile(ours(r), q), baseline: quantile(r.write, q) })),
      "one durable write",
      goal,
    );
  return [
    figure("idle: accepted (durable) -> provider call", (r) => r.fromAccept, 0.5),
    figure("idle: accepted (durable) -> provider call", (r) => r.fromAccept, 0.99, "< 5 ms"),
    figure("idle: POST /enqueue sent -> provider call", (r) => r.fromRequest, 0.5),
    figure("idle: POST /enqueue sent -> provider call", (r) => r.fromRequest, 0.99),
  ];
}

/** Milliseconds, ascending. */
interface Round {
  fromAccept: number[];
  fromRequest: number[];
  write: number[];
}

async function round(): Promise<Round> {
  let called = (_at: number) => {};
  const embedded = await openEmbedded({
    quotas: [{ unit: "requests", per: "minute", limit: 1_000_000 }],
    concurrency: 50,
    onCall: () => called(performance.now()),
  });
  const { context, worker } = embedded;
  const times: Round = { fromAccept: [], fromRequest: [], write: [] };
  let acceptedAt = 0;
  const { insertMany } = context.store;
  context.store.insertMany = async (jobs) => {
    const result = await insertMany.call(context.store, jobs);
    acceptedAt = performance.now();
    return result;
  };
  const keys = await openKeyRegistry(context);
  const http = createHttpServer({
    ...context,
    keys,
    callers: new WaitingCallers(context),
    pauses: new PauseWatch(context),
  });
  await http.listen({ host: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}/enqueue`;
  worker.start();
  try {
    for (let i = -20; i < prompts; i++) {
      await sleep(5);
      const call = new Promise<number>((resolve) => {
        called = resolve;
      });
      const sentAt = performance.now();
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt: `Prompt ${i}`, environment: "UAT" }),
      });
      if (!response.ok) throw new Error(await response.text());
      await response.body?.cancel();
      const calledAt = await call;
      if (i < 0) continue; // Warming up.
      times.fromAccept.push(calledAt - acceptedAt);
      times.fromRequest.push(calledAt - sentAt);
    }
    await worker.stop();
    for (const job of makeJobs(prompts)) {
      await sleep(5);
      const start = performance.now();
      await insertMany.call(context.store, [job]);
      times.write.push(performance.now() - start);
    }
  } finally {
    await http.close();
    await keys.close();
    await embedded.close();
  }
  for (const values of [times.fromAccept, times.fromRequest, times.write]) values.sort((a, b) => a - b);
  return times;
}
