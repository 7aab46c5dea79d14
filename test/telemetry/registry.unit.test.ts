// The text of metrics in both formats.
import { expect, test } from "vitest";
import { Registry } from "../../src/telemetry/registry.ts";

function example(): Registry {
  const registry = new Registry();
  const jobs = registry.counter("x_jobs_total", "Jobs.", ["model", "outcome"]);
  jobs.with("a", "completed").inc();
  jobs.with("a", "completed").inc(2);
  jobs.with('a "quoted" \\ name\nof two lines', "failed");
  registry.gauge("x_open", "Whether it is open.").with().set(1);
  const waits = registry.histogram("x_wait_seconds", "Waits.", ["model"], [0.5, 1, 60]);
  for (const seconds of [0.5, 0.75, 61]) waits.with("a").observe(seconds);
  registry.counter("x_never_total", "Nothing.", ["model"]);
  return registry;
}

test("Prometheus 0.0.4", async () => {
  expect(await example().scrape("prometheus")).toBe(`# HELP x_jobs_total Jobs.
# TYPE x_jobs_total counter
x_jobs_total{model="a",outcome="completed"} 3
x_jobs_total{model="a \\"quoted\\" \\\\ name\\nof two lines",outcome="failed"} 0
# HELP x_open Whether it is open.
# TYPE x_open gauge
x_open 1
# HELP x_wait_seconds Waits.
# TYPE x_wait_seconds histogram
x_wait_seconds_bucket{model="a",le="0.5"} 1
x_wait_seconds_bucket{model="a",le="1.0"} 2
x_wait_seconds_bucket{model="a",le="60.0"} 2
x_wait_seconds_bucket{model="a",le="+Inf"} 3
x_wait_seconds_sum{model="a"} 62.25
x_wait_seconds_count{model="a"} 3
# HELP x_never_total Nothing.
# TYPE x_never_total counter
`);
});

test("OpenMetrics 1.0 names the family of a counter without its suffix, and ends with # EOF", async () => {
  const text = await example().scrape("openmetrics");
  expect(text).toMatch(
    /^# HELP x_jobs Jobs.\n# TYPE x_jobs counter\nx_jobs_total\{model="a",outcome="completed"\} 3\n/,
  );
  expect(text).toMatch(/\n# TYPE x_never counter\n# EOF\n$/);
});

test("a gauge that is cleared loses its series, and one without labels is 0", async () => {
  const registry = new Registry();
  const depth = registry.gauge("x_depth", "Depth.", ["model"]);
  const open = registry.gauge("x_open", "Open.");
  depth.with("a").set(2);
  open.with().set(2);
  depth.clear();
  open.clear();
  expect(await registry.scrape("prometheus")).not.toMatch(/x_depth\{|x_open 2/);
  expect(await registry.scrape("prometheus")).toContain("\nx_open 0\n");
});

test("collectors run before each scrape, and a name is free only once", async () => {
  const registry = new Registry();
  const scrapes = registry.gauge("x_scrapes", "Scrapes.");
  registry.onScrape(async () => scrapes.with().inc());
  await registry.scrape("prometheus");
  expect(await registry.scrape("prometheus")).toContain("\nx_scrapes 2\n");
  expect(() => registry.counter("x_scrapes", "Again.")).toThrow("There are two metrics named x_scrapes.");
});

test.each([
  [Number.NaN, "NaN"],
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
  [1e-9, "1e-9"],
])("%d is written as %s", async (value, text) => {
  const registry = new Registry();
  registry.gauge("x", "X.").with().set(value);
  expect(await registry.scrape("prometheus")).toContain(`\nx ${text}\n`);
});
