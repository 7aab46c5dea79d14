// The parsers of Prometheus' own client read scrapes while jobs run, in both formats.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { startSluice } from "../support/sluice-process.ts";

const python = inject("python");
const program = resolve(import.meta.dirname, "../python/prometheus_scrape.py");
const jobs = 600;
const atOnce = 20;

type Sample = [name: string, labels: Record<string, string>, value: number];
interface Scrape {
  contentType: string;
  types: Record<string, string>;
  samples: Sample[];
}

describe.skipIf(python === null)("Prometheus' parsers", () => {
  async function scrape(url: string): Promise<Record<"prometheus" | "openmetrics", Scrape>> {
    const env = { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: "1" };
    const { stdout } = await promisify(execFile)(python!, [program, `${url}/metrics`], { env, maxBuffer: 2 ** 26 });
    return JSON.parse(stdout);
  }

  test("read every scrape during load, and no counter decreases", { timeout: 120_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-parsers-"));
    const env = { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn", SLUICE_PROVIDER: "simulator" };
    const { child, url } = await startSluice(["serve"], { cwd: folder, env });
    onTestFinished(async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    });

    let left = jobs;
    const submit = async () => {
      while (left-- > 0) {
        const model = left % 3 === 0 ? "llama3-3-70b" : "nova-2-lite";
        const body = JSON.stringify({ prompt: "hello", environment: left % 2 ? "UAT" : "PROD", model });
        const headers = { "content-type": "application/json" };
        const response = await fetch(`${url}/v1/jobs`, { method: "POST", headers, body });
        if (response.status !== 200) throw new Error(await response.text());
      }
    };
    let isOver = false;
    const load = Promise.all(Array.from({ length: atOnce }, submit)).finally(() => (isOver = true));
    const scrapes: Awaited<ReturnType<typeof scrape>>[] = [];
    do scrapes.push(await scrape(url));
    while (!isOver);
    await load;
    scrapes.push(await scrape(url));

    for (const { prometheus, openmetrics } of scrapes) {
      expect(prometheus.contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
      expect(openmetrics.contentType).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
      expect(prometheus.types).toEqual(openmetrics.types);
      expect(Object.values(openmetrics.types)).not.toContain("unknown");
    }
    const counters = (of: Scrape) =>
      new Map(
        of.samples
          .filter(([name]) => /_(total|count|bucket)$/.test(name))
          .map(([name, labels, value]) => [JSON.stringify([name, labels]), value]),
      );
    const inOrder = scrapes.flatMap(({ prometheus, openmetrics }) => [prometheus, openmetrics]).map(counters);
    for (const [i, next] of inOrder.slice(1).entries()) {
      const decreased = [...inOrder[i]!].filter(([series, value]) => (next.get(series) ?? -1) < value);
      expect(decreased).toEqual([]);
    }
    const last = scrapes.at(-1)!.openmetrics.samples;
    const sum = (name: string) => last.reduce((total, [own, , value]) => total + (own === name ? value : 0), 0);
    expect(sum("sluice_jobs_submitted_total")).toBe(jobs);
    expect(sum("sluice_jobs")).toBe(jobs);
    expect(sum("sluice_jobs_finished_total")).toBeGreaterThan(0);
  });
});
