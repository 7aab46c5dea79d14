// Metrics of this process: CPU, memory, open files, garbage collection and the delay of the event loop. The names are
// those of prom-client, so that dashboards for Node.js work.
import { readdir, readFile } from "node:fs/promises";
import { monitorEventLoopDelay, type PerformanceEntry, PerformanceObserver, performance } from "node:perf_hooks";
import type { Registry } from "./registry.ts";

/** Resolution of the measured delay of the event loop, in milliseconds. */
const resolutionMs = 10;
const nanoseconds = 1e9;
const gcBounds = [0.001, 0.01, 0.1, 1, 2, 5];
/** Names of kinds of garbage collection, by the bit that Node reports. */
const gcKinds: Record<number, string> = { 1: "minor", 4: "major", 8: "incremental", 16: "weakcb" };

/** Adds the metrics. Returns the function that ends the measurement. */
export function addProcessMetrics(registry: Registry): () => void {
  addMemory(registry);
  addCpu(registry);
  addFiles(registry);
  const start = registry.gauge("process_start_time_seconds", "Start of the process, in seconds since the epoch.");
  start.with().set(performance.timeOrigin / 1000);
  const versions = registry.gauge("nodejs_version_info", "Version of Node.js.", ["version", "major", "minor", "patch"]);
  const [major, minor, patch] = process.versions.node.split(".");
  versions.with(process.version, major!, minor!, patch!).set(1);
  const stops = [addEventLoop(registry), addCollections(registry)];
  return () => {
    for (const stop of stops) stop();
  };
}

function addCpu(registry: Registry): void {
  const total = registry.counter("process_cpu_seconds_total", "CPU time of the process, in seconds.");
  const user = registry.counter("process_cpu_user_seconds_total", "CPU time in user mode, in seconds.");
  const system = registry.counter("process_cpu_system_seconds_total", "CPU time in system mode, in seconds.");
  registry.onScrape(() => {
    const used = process.cpuUsage();
    user.with().set(used.user / 1e6);
    system.with().set(used.system / 1e6);
    total.with().set((used.user + used.system) / 1e6);
  });
}

function addMemory(registry: Registry): void {
  const resident = registry.gauge("process_resident_memory_bytes", "Resident memory of the process, in bytes.");
  const heap = registry.gauge("nodejs_heap_size_total_bytes", "Size of the JavaScript heap, in bytes.");
  const used = registry.gauge("nodejs_heap_size_used_bytes", "Used part of the JavaScript heap, in bytes.");
  const external = registry.gauge("nodejs_external_memory_bytes", "Memory of objects outside the heap, in bytes.");
  registry.onScrape(() => {
    const memory = process.memoryUsage();
    resident.with().set(memory.rss);
    heap.with().set(memory.heapTotal);
    used.with().set(memory.heapUsed);
    external.with().set(memory.external);
  });
}

/** Adds the number of open files. It stays 0 where there is no /proc. */
function addFiles(registry: Registry): void {
  const open = registry.gauge("process_open_fds", "Number of open files and sockets.");
  const most = registry.gauge("process_max_fds", "Highest possible number of open files and sockets.");
  registry.onScrape(async () => {
    const [files, limits] = await Promise.all([
      readdir("/proc/self/fd").catch(() => []),
      readFile("/proc/self/limits", "utf8").catch(() => ""),
    ]);
    // One of them is the open folder itself.
    open.with().set(Math.max(0, files.length - 1));
    most.with().set(Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 0));
  });
}

function addEventLoop(registry: Registry): () => void {
  const name = (part: string) => `nodejs_eventloop_lag_${part}seconds`;
  const gauge = (part: string, what: string) =>
    registry.gauge(name(part), `${what} of the event loop, in seconds.`).with();
  const lag = gauge("", "Delay");
  const since = "since the last scrape";
  const [min, max] = [gauge("min_", `Shortest delay ${since}`), gauge("max_", `Longest delay ${since}`)];
  const [mean, stddev] = [gauge("mean_", `Mean delay ${since}`), gauge("stddev_", `Standard deviation ${since}`)];
  const percentiles = [50, 90, 99].map((p) => [p, gauge(`p${p}_`, `${p}th percentile ${since}`)] as const);
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  registry.onScrape(async () => {
    const startedAt = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    lag.set((performance.now() - startedAt) / 1000);
    // Without a measurement, Node reports a huge minimum and no mean.
    if (delays.count === 0) return;
    min.set(delays.min / nanoseconds);
    max.set(delays.max / nanoseconds);
    mean.set(delays.mean / nanoseconds);
    stddev.set(delays.stddev / nanoseconds);
    for (const [p, series] of percentiles) series.set(delays.percentile(p) / nanoseconds);
    delays.reset();
  });
  return () => delays.disable();
}

function addCollections(registry: Registry): () => void {
  const help = "Duration of garbage collections, in seconds.";
  const durations = registry.histogram("nodejs_gc_duration_seconds", help, ["kind"], gcBounds);
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { detail } = entry as PerformanceEntry & { detail?: { kind?: number } };
      durations.with(gcKinds[detail?.kind ?? 0] ?? "other").observe(entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}
