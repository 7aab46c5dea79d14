// Metrics of several processes: what they share is equal in each, and what each counts is its own.
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { Cluster, until } from "./cluster.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const page = readFileSync(resolve(import.meta.dirname, "../../docs/metrics.md"), "utf8");
const shared = Array.from(page.matchAll(/^\| `(\w+)` \| \w+ \| [^|]*\| shared \|/gm), ([, name]) => name!);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === "string") throw new Error("There is no port.");
  return address.port;
}

describe.skipIf(withoutRedis() || withoutMongo())("metrics of two APIs and a worker", () => {
  let cluster: Cluster;
  let urls: string[];
  beforeAll(async () => {
    cluster = await Cluster.start();
    const port = await freePort();
    const apis = await Promise.all([cluster.startApi(), cluster.startApi()]);
    vi.stubEnv("SLUICE_METRICS_PORT", String(port));
    await cluster.startWorker();
    vi.unstubAllEnvs();
    urls = [...apis.map(({ url }) => `${url}/metrics`), `http://127.0.0.1:${port}/metrics`];
  });
  afterAll(() => cluster?.stop());

  /** Returns the samples of each process, all read at about the same time. */
  const scrapeAll = () =>
    Promise.all(
      urls.map(async (url) => {
        const text = await (await fetch(url)).text();
        return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
      }),
    );
  const isShared = (line: string) => shared.includes(/^\w+/.exec(line)![0]);
  const sum = (samples: string[], name: string) =>
    samples
      .filter((line) => new RegExp(`^${name}(\\{|\\s)`).test(line))
      .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" "))), 0);

  test("what is shared is equal, and what each process counts adds up", async () => {
    const prompts = Array.from({ length: 40 }, (_, i) => `metrics ${i}`);
    const accepted = await cluster.submit(prompts, "quick");
    const waiting = await cluster.submit(
      Array.from({ length: 40 }, (_, i) => `narrow ${i}`),
      "narrow",
    );
    await cluster.allEnded(accepted);
    let samples: string[][] = [];
    // The store counts jobs every second, and the window of a quota moves between two scrapes.
    await until(async () => {
      samples = await scrapeAll();
      const [first, ...others] = samples.map((lines) => lines.filter(isShared).sort().join("\n"));
      return others.every((other) => other === first) && sum(samples[0]!, "sluice_jobs") === 80;
    });
    expect(shared.filter((name) => samples[0]!.some((line) => line.startsWith(name))).length).toBeGreaterThan(10);
    const [one, two, worker] = samples as [string[], string[], string[]];
    for (const each of samples) expect(sum(each, "sluice_queue_jobs")).toBeGreaterThan(0);

    const submitted = [one, two, worker].map((each) => sum(each, "sluice_jobs_submitted_total"));
    expect(submitted).toEqual([40, 40, 0]);
    expect([one, two].map((each) => sum(each, "sluice_attempts_total"))).toEqual([0, 0]);
    const ended = sum(worker, "sluice_jobs_finished_total");
    expect(ended).toBeGreaterThanOrEqual(40);
    expect(sum(worker, "sluice_attempts_total")).toBeGreaterThanOrEqual(ended);
    expect(sum(worker, "sluice_wait_seconds_count")).toBeGreaterThanOrEqual(ended);
    expect(worker.filter((line) => line.startsWith('sluice_redis_seconds_count{script="acquire"}'))).toHaveLength(1);
    expect(worker.filter((line) => line.startsWith("sluice_worker_environment")).length).toBe(2);
    expect(one.filter((line) => line.startsWith("sluice_worker_environment"))).toEqual([]);
    expect(sum(one, "sluice_store_commit_batch_size_count")).toBeGreaterThan(0);
    expect(waiting.size).toBe(40);
  });
});
