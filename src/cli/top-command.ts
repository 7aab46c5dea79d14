// sluice top: queue depths, quotas and throughput of the running service, drawn again every second.
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { SluiceApiError, type SluiceClient, SluiceConnectionError } from "../client/index.ts";
import { utc } from "./formats.ts";
import { printJson } from "./output.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { readServiceState, type ServiceState, type Stats } from "./service-state.ts";
import { paintFor, widthOf } from "./terminal.ts";
import { type Throughput, topLines } from "./top-screen.ts";

interface TopOptions extends ServiceOptions {
  once?: boolean;
}

const refreshMs = 1000;
/** Throughput is measured over this long, in milliseconds. */
const measureOverMs = 10_000;

export function topCommand(): Command {
  const command = new Command("top")
    .description("Show queue depths, use of quotas and throughput, refreshed every second. Ctrl-C or q ends it.")
    .option("--once", "print one snapshot and exit; so does --json, and an output that is not a terminal");
  return withServiceOptions(command)
    .addHelpText(
      "after",
      `
Queue depths and throughput cover all tenants, so they need an admin key.

Examples:
  sluice top
  sluice top --once
  sluice top --json | jq .quotas`,
    )
    .action(top);
}

function top({ url, json, once }: TopOptions): Promise<void> {
  return askService(url, async (service) => {
    const meter = new ThroughputMeter();
    const first = await readServiceState(service);
    meter.add(first.stats, performance.now());
    if (process.stdout.isTTY && !once && !json) {
      await watch(service, url, first, meter);
      return;
    }
    // Throughput needs two readings.
    if (first.stats) await sleep(refreshMs);
    const state = first.stats ? await readServiceState(service) : first;
    const throughput = meter.add(state.stats, performance.now());
    if (json) printJson({ ...state, throughput: throughput ?? null });
    else {
      const lines = topLines(state, {
        url,
        throughput,
        now: Date.now(),
        columns: widthOf(process.stdout),
        paint: paintFor(process.stdout),
      });
      process.stdout.write(`${lines.join("\n")}\n`);
    }
  });
}

// ---------------------------------------------------------------- the live screen

const enterScreen = "\u001b[?1049h\u001b[?25l";
const leaveScreen = "\u001b[?25h\u001b[?1049l";
const home = "\u001b[H";
const eraseRest = "\u001b[K";
const eraseBelow = "\u001b[J";

async function watch(service: SluiceClient, url: string, first: ServiceState, meter: ThroughputMeter): Promise<void> {
  const { stdin, stdout } = process;
  const ended = new AbortController();
  const end = () => ended.abort();
  const onKey = (key: Buffer) => {
    // In raw mode the terminal sends Ctrl-C as a character.
    if (key.includes("q") || key.includes("\u0003")) end();
  };
  let state = first;
  let throughput: Throughput | undefined;
  let offline: string | undefined;
  const draw = () => {
    const lines = topLines(state, {
      url,
      throughput,
      offline,
      now: Date.now(),
      columns: widthOf(stdout),
      paint: paintFor(stdout),
    });
    const shown = lines.slice(0, Math.max(1, (stdout.rows || 24) - 1));
    stdout.write(`${home}${shown.map((line) => `${line}${eraseRest}\n`).join("")}${eraseBelow}`);
  };

  process.on("SIGINT", end).on("SIGTERM", end);
  if (stdin.isTTY) stdin.setRawMode(true).on("data", onKey).resume();
  stdout.on("resize", draw).write(enterScreen);
  try {
    while (!ended.signal.aborted) {
      draw();
      await sleep(refreshMs, undefined, { signal: ended.signal }).catch(() => {});
      if (ended.signal.aborted) break;
      try {
        state = await readServiceState(service);
        throughput = meter.add(state.stats, performance.now());
        offline = undefined;
      } catch (error) {
        if (!(error instanceof SluiceConnectionError || error instanceof SluiceApiError)) throw error;
        offline ??= `since ${utc(Date.now())}, trying again (${error.message})`;
      }
    }
  } finally {
    stdout.off("resize", draw).write(leaveScreen);
    if (stdin.isTTY) stdin.setRawMode(false).off("data", onKey).pause();
    process.off("SIGINT", end).off("SIGTERM", end);
  }
}

// ---------------------------------------------------------------- throughput

/** Measures jobs per second from counts that are read now and then. */
export class ThroughputMeter {
  readonly #readings: { at: number; completed: number; failed: number }[] = [];

  /**
   * Adds a reading.
   * @param at milliseconds
   * @returns undefined after the first reading, or without counts
   */
  add(stats: Stats | undefined, at: number): Throughput | undefined {
    if (!stats) return undefined;
    const counts = Object.values(stats.jobs);
    const completed = counts.reduce((sum, each) => sum + each.completed, 0);
    const failed = counts.reduce((sum, each) => sum + each.failed + each.cancelled + each.expired, 0);
    this.#readings.push({ at, completed, failed });
    while (this.#readings.length > 2 && at - this.#readings[0]!.at > measureOverMs) this.#readings.shift();
    const first = this.#readings[0]!;
    const seconds = (at - first.at) / 1000;
    if (seconds <= 0) return undefined;
    // Deleted jobs make counts smaller.
    const perSecond = (before: number, now: number) => Math.max(0, now - before) / seconds;
    return { completed: perSecond(first.completed, completed), failed: perSecond(first.failed, failed) };
  }
}
