// The alerts and the dashboard: they read only metrics and labels that the service serves, and each alert has a section in
// the runbook.
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Service, startService } from "../../src/service/start-service.ts";
import { testSettings } from "../support/jobs-context.ts";
import {
  alerts,
  dashboard,
  groupingsOf,
  interpolated,
  prometheusRule,
  rules,
  selectorsOf,
  targets,
} from "./expressions.ts";

const docs = resolve(import.meta.dirname, "../../docs");
/** Labels that Prometheus adds to each target. */
const ofTarget = ["instance", "job"];

/** Returns the labels of every metric, from the page that a test of the metrics compares with a scrape. */
function documentedLabels(): Map<string, string[]> {
  const page = readFileSync(join(docs, "metrics.md"), "utf8");
  const rows = page.matchAll(/^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) ?\| (?:own|shared) \|/gm);
  return new Map(
    Array.from(rows).flatMap(([, name, type, cell]): [string, string[]][] => {
      const labels = Array.from(cell!.matchAll(/`(\w+)`/g), ([, label]) => label!);
      if (type !== "histogram") return [[name!, labels]];
      return [
        [`${name}_bucket`, [...labels, "le"]],
        [`${name}_count`, labels],
        [`${name}_sum`, labels],
      ];
    }),
  );
}

describe("what they read", () => {
  let dataDir: string;
  let service: Service;
  let scraped: Map<string, string[] | undefined>;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "sluice-monitoring-"));
    const answer = { text: "yes", toolCalls: [], finishReason: "stop" as const, usage: { input: 7, output: 3 } };
    service = await startService(
      { ...testSettings({}), dataDir, port: 0 },
      {
        log: pino({ level: "silent" }),
        createProvider: () => ({ call: async () => answer, close: async () => {} }),
      },
    );
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ prompt: "Why?", environment: "UAT" });
    const posted = await fetch(`${service.url}/v1/jobs`, { method: "POST", headers, body });
    const { job_id } = (await posted.json()) as { job_id: string };
    expect(await (await fetch(`${service.url}/v1/jobs/${job_id}?wait=30`)).json()).toMatchObject({
      status: "completed",
    });
    const text = await (await fetch(`${service.url}/metrics`)).text();
    const suffixes = { histogram: ["_bucket", "_count", "_sum"] } as Record<string, string[]>;
    scraped = new Map(
      Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm)).flatMap(([, name, type]) =>
        (suffixes[type!] ?? [""]).map((suffix) => [name + suffix, undefined] as const),
      ),
    );
    for (const [, name, values = ""] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
      scraped.set(
        name!,
        Array.from(values.matchAll(/(\w+)="(?:\\.|[^"\\])*"/g), ([, label]) => label!),
      );
    }
  });
  afterAll(async () => {
    await service?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const expressions = [
    ...rules.map(({ alert, record, expr }) => ({ place: alert ?? record!, expr })),
    ...targets.map(({ title, expr }) => ({ place: title, expr: interpolated(expr) })),
    ...dashboard.templating.list.flatMap(({ name, definition }) =>
      definition === undefined ? [] : [{ place: `variable ${name}`, expr: definition }],
    ),
  ];

  test("metrics and labels that a scrape has", () => {
    const documented = documentedLabels();
    const recorded = new Set(rules.map(({ record }) => record));
    const wrong = expressions.flatMap(({ place, expr }) => {
      const read = selectorsOf(expr);
      const labelsOf = (name: string) => [...(scraped.get(name) ?? documented.get(name) ?? []), ...ofTarget];
      const all = new Set(read.flatMap(({ name }) => labelsOf(name)));
      return [
        ...read.filter(({ name }) => !scraped.has(name)).map(({ name }) => `${place}: no metric ${name}`),
        ...read.flatMap(({ name, labels }) =>
          labels.filter((label) => !labelsOf(name).includes(label)).map((label) => `${place}: ${name} has no ${label}`),
        ),
        ...groupingsOf(expr)
          .filter((label) => !all.has(label))
          .map((label) => `${place}: no metric has ${label}`),
        ...Array.from(expr.matchAll(/[\w]+:[\w:]+/g), ([name]) => name)
          .filter((name) => !recorded.has(name))
          .map((name) => `${place}: no rule records ${name}`),
      ];
    });
    expect(wrong).toEqual([]);
    expect(expressions.flatMap(({ expr }) => selectorsOf(expr)).length).toBeGreaterThan(50);
  });

  test("variables and legends of the dashboard", () => {
    for (const { definition } of dashboard.templating.list) {
      const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(
        definition ?? "label_values(sluice_jobs, state)",
      )!;
      expect(scraped.get(selectorsOf(selector!)[0]!.name)).toContain(label);
    }
    const known = new Set(dashboard.templating.list.map(({ name }) => name).concat("__rate_interval"));
    for (const { title, expr, legendFormat } of targets) {
      for (const [, name] of expr.matchAll(/\$(\w+)/g)) expect(known, title).toContain(name);
      const labels = Array.from(legendFormat.matchAll(/\{\{(\w+)\}\}/g), ([, label]) => label!);
      const kept = new Set([
        ...groupingsOf(expr),
        ...selectorsOf(expr).flatMap((s) => scraped.get(s.name) ?? []),
        ...ofTarget,
      ]);
      for (const label of labels) expect(kept, title).toContain(label);
    }
  });
});

test("each alert has a time, a severity, texts, and a section in the runbook", () => {
  expect(prometheusRule).toMatchObject({ apiVersion: "monitoring.coreos.com/v1", kind: "PrometheusRule" });
  const headings = Array.from(
    readFileSync(join(docs, "runbook.md"), "utf8").matchAll(/^## (\w+)$/gm),
    ([, name]) => name,
  );
  expect(alerts.map(({ alert }) => alert)).toEqual(headings);
  for (const { alert, for: time, labels, annotations } of alerts) {
    expect(time).toMatch(/^\d+[mh]$/);
    expect(["critical", "warning"]).toContain(labels?.severity);
    expect(annotations?.runbook_url).toBe(`docs/runbook.md#${alert!.toLowerCase()}`);
    for (const text of [annotations?.summary, annotations?.description]) expect(text).toMatch(/^\S.+\.$/s);
  }
});

test("the page about alerts lists all of them with their severity", () => {
  const page = readFileSync(join(docs, "monitoring.md"), "utf8");
  const rows = Array.from(page.matchAll(/^\| \[(\w+)\]\(runbook\.md#\w+\) \| (\w+) \|/gm), ([, name, severity]) => [
    name,
    severity,
  ]);
  expect(rows).toEqual(alerts.map(({ alert, labels }) => [alert, labels?.severity]));
});

test("the dashboard can be provisioned, and takes its data source from a variable", () => {
  expect(dashboard).toMatchObject({ uid: "sluice-overview", schemaVersion: expect.any(Number) });
  expect(dashboard).not.toHaveProperty("id");
  expect(dashboard).not.toHaveProperty("__inputs");
  expect(dashboard.templating.list.map(({ name }) => name)).toEqual(["DS", "environment", "model", "deployment"]);
  expect(dashboard.templating.list[0]).toMatchObject({ type: "datasource", query: "prometheus" });
  for (const { datasource } of targets) expect(datasource.uid).toMatch(/^\$\{DS\}$/);
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  for (const a of dashboard.panels) {
    expect(a.gridPos.x + a.gridPos.w).toBeLessThanOrEqual(24);
    for (const b of dashboard.panels) {
      const [p, q] = [a.gridPos, b.gridPos];
      const overlap = p.x < q.x + q.w && q.x < p.x + p.w && p.y < q.y + q.h && q.y < p.y + p.h;
      expect(a === b || !overlap, `${a.title}, ${b.title}`).toBe(true);
    }
  }
});
