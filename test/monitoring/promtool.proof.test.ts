// Prometheus' own tool parses every expression of the rules and of the dashboard, and tries each alert.
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { parse, stringify } from "yaml";
import { alerts, interpolated, prometheusRule, targets } from "./expressions.ts";

const run = promisify(execFile);
const cases = join(import.meta.dirname, "alerts.yaml");

const promtool = inject("promtool");

describe.skipIf(promtool === null)("promtool", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-rules-"));
    await writeFile(join(folder, "rules.yaml"), stringify(prometheusRule.spec));
    await copyFile(cases, join(folder, "alerts.yaml"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const check = (file: string) => run(promtool!, ["check", "rules", file], { cwd: folder });

  test("parses the rules", async () => {
    expect((await check("rules.yaml")).stdout).toContain("SUCCESS: 11 rules found");
  });

  test("parses the expressions of the dashboard", async () => {
    const queries = targets.map(({ expr }, i) => ({ record: `query:${i}`, expr: interpolated(expr) }));
    await writeFile(join(folder, "dashboard.yaml"), stringify({ groups: [{ name: "dashboard", rules: queries }] }));
    expect((await check("dashboard.yaml")).stdout).toContain(`SUCCESS: ${queries.length} rules found`);
  });

  test("sees each alert fire, and not fire", async () => {
    expect((await run(promtool!, ["test", "rules", "alerts.yaml"], { cwd: folder })).stdout).toContain("SUCCESS");
  });

  test("the cases try every alert", async () => {
    interface Cases {
      tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[];
    }
    const { tests }: Cases = parse(await readFile(cases, "utf8"));
    const tried = tests.flatMap((each) => each.alert_rule_test);
    for (const fires of [true, false]) {
      const names = tried.filter(({ exp_alerts }) => (exp_alerts !== undefined) === fires).map((t) => t.alertname);
      expect([...new Set(names)].sort()).toEqual(alerts.map(({ alert }) => alert).sort());
    }
  });
});
