// Keeps the last figures of each benchmark, quiet and busy, in the repository: as JSON, and as a page made from it.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Machine, shownLoad, shownMachine } from "./machine.ts";
import { type Figure, type Measured, shown } from "./measure.ts";

const json = join("bench", "last-result.json");
const page = join("docs", "benchmarks.md");

type Kept = Measured & { machine: Machine };

/** Replaces the figures of these benchmarks, and returns the files that it wrote. */
export async function save(machine: Machine, results: readonly Measured[]): Promise<string[]> {
  const keyOf = ({ name, busy }: Measured) => `${name}${busy ? " busy" : ""}`;
  const kept = new Map((await lastResults()).map((result) => [keyOf(result), result]));
  for (const result of results) kept.set(keyOf(result), { ...result, machine });
  const sorted = [...kept.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, result]) => result);
  await writeFile(json, `${JSON.stringify(sorted, rounded, 1)}\n`);
  await writeFile(page, pageOf(sorted));
  return [json, page];
}

/** More digits would say nothing. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(4)) : value;
}

async function lastResults(): Promise<Kept[]> {
  try {
    return JSON.parse(await readFile(json, "utf8")) as Kept[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

const introduction = `# Benchmarks

\`npm run bench -- --save\` wrote this page. It has the last figures of each benchmark: the median of its repeats, with the
smallest and the largest repeat in brackets. A ratio compares a repeat with the baseline that ran next to it. "Cores busy"
is the load of the whole machine during the benchmark, and "steal" is time that the hypervisor gave to other machines.

Compare ratios. Rates depend on the machine. Why some goals are missed:
[submits](decisions/writes-leave-at-once.md), [drain and Redis](decisions/cost-of-a-job.md),
[the distributed form](decisions/one-notice-for-a-job.md).
`;

function pageOf(results: readonly Kept[]): string {
  return `${[introduction, ...results.map(sectionOf)].join("\n")}`;
}

function sectionOf({ name, busy, at, load, machine, figures }: Kept): string {
  const title = busy ? `${name}, with all cores busy with other work` : name;
  const command = `npm run bench ${busy ? "-- --busy " : ""}${name}`;
  return [
    `## ${title}`,
    "",
    `\`${command}\`, ${at.slice(0, 10)}. ${shownMachine(machine)}; ${shownLoad(load)}.`,
    "",
    "| figure | Sluice | baseline | ratio | goal |",
    "|---|---|---|---|---|",
    ...figures.map(rowOf),
    "",
  ].join("\n");
}

function rowOf({ what, unit, ours, baseline, goal }: Figure): string {
  const cells = [
    what,
    `${shown(ours)} ${unit}`,
    baseline ? `${baseline.what}: ${shown(baseline.values)}` : "",
    baseline ? shown(baseline.ratio) : "",
    goal ?? "",
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
