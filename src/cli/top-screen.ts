// What sluice top draws: one screen of the service's state. Pure.
import { duration, grouped, rate, short } from "./formats.ts";
import { queueColumns, queueRows } from "./queue-table.ts";
import { type Deployment, type Quota, readinessText, type ServiceState, type Stats } from "./service-state.ts";
import { tableLines } from "./table.ts";
import { columnsOf, cut, cutMiddle, fill, oneLine, type Paint } from "./terminal.ts";

/** Jobs per second. */
export interface Throughput {
  completed: number;
  /** Failed, cancelled and expired jobs. */
  failed: number;
}

export interface TopOptions {
  url: string;
  throughput?: Throughput | undefined;
  /** Why and since when the service does not answer; the state is then the last one. */
  offline?: string | undefined;
  /** Milliseconds since the epoch. */
  now: number;
  /** Width in columns. */
  columns: number;
  paint: Paint;
}

/** Used where the width is not limited. */
const defaultColumns = 100;
const barColumns = 24;
/** Columns of `99.9k/99.9k`, so that names do not move while numbers grow. */
const widestAmount = 11;

/** Returns the lines of the screen. */
export function topLines(state: ServiceState, options: TopOptions): string[] {
  const columns = Number.isFinite(options.columns) ? options.columns : defaultColumns;
  const { stats, missing, quotas, deployments } = state;
  const screen = { ...options, columns };
  return [
    ...headLines(state, screen),
    ...missing.map((sentence) => oneLine(sentence)),
    ...(stats ? queueLines(stats, screen) : []),
    ...(quotas.length > 0 ? ["", ...quotaLines(quotas, screen), "", ...deploymentLines(deployments, screen)] : []),
  ].map((line) => cut(line, columns));
}

function headLines({ readiness, stats }: ServiceState, { url, throughput, offline, now, paint }: TopOptions): string[] {
  const colour = { ok: "green", degraded: "yellow", not_ready: "red" } as const;
  const status =
    offline === undefined
      ? paint(colour[readiness.status], oneLine(readinessText(readiness)))
      : paint("red", oneLine(`offline: ${offline}`));
  const head = `${paint("bold", "Sluice")} ${url}  ${status}`;
  if (!stats) return [head];
  const waiting = stats.queue.reduce((sum, { ready, delayed }) => sum + ready + delayed, 0);
  const speed = throughput && `${rate(throughput.completed)} completed, ${rate(throughput.failed)} failed`;
  const emptyMs = (emptyAt(stats) ?? now) - now;
  const empty = emptyMs > 0 ? `, empty in ${duration(emptyMs)}` : "";
  const counts = `${grouped(waiting)} waiting, ${grouped(stats.running)} running`;
  return [head, `${counts}, ${speed ?? "measuring throughput"}${empty}`];
}

function queueLines({ queue }: Stats, { columns, now, paint }: TopOptions): string[] {
  if (queue.length === 0) return [];
  return ["", ...tableLines(queueColumns, queueRows(queue, now), columns, paint)];
}

/** Returns when everything that is ready now will have started; undefined if that is not known. */
function emptyAt({ models = [] }: Stats): number | undefined {
  const times = models.map(({ empty_at }) => (empty_at === null ? Number.NaN : Date.parse(empty_at)));
  const last = Math.max(...times);
  return Number.isFinite(last) ? last : undefined;
}

function quotaLines(quotas: readonly Quota[], { columns, paint }: TopOptions): string[] {
  const amounts = quotas.map(({ used, effective_limit: limit }) => `${short(used)}/${short(limit)}`);
  const amountColumns = Math.max(widestAmount, ...amounts.map(columnsOf));
  const nameColumns = Math.max(
    ...[5, Math.min(Math.max(...quotas.map(({ name }) => columnsOf(name))), columns - barColumns - amountColumns - 11)],
  );
  const withReserved = quotas.some(({ reserved }) => reserved !== undefined);
  const legend = withReserved ? "use (# settled, + reserved)" : "use";
  return [
    paint("bold", `${fill("quota", nameColumns)}  ${legend}`),
    ...quotas.map((quota, i) => {
      const share = quota.effective_limit > 0 ? Math.round((quota.used / quota.effective_limit) * 100) : 0;
      const name = fill(cutMiddle(oneLine(quota.name), nameColumns), nameColumns);
      const percent = fill(`${share}%`, 4, "right");
      const closed = quota.closed_until === null ? "" : "  closed";
      return `${name}  ${quotaBar(quota, barColumns, paint)} ${percent}  ${fill(amounts[i]!, amountColumns, "right")}${paint("yellow", closed)}`;
    }),
  ];
}

/** Returns a bar of settled and reserved use up to the limit. */
export function quotaBar(
  { used, reserved = 0, effective_limit: limit }: Pick<Quota, "used" | "reserved" | "effective_limit">,
  columns: number,
  paint: Paint = (_, text) => text,
): string {
  const inner = columns - 2;
  const part = (amount: number) => (limit > 0 ? Math.min(inner, Math.round((amount / limit) * inner)) : 0);
  const all = Math.max(part(used), used > 0 ? 1 : 0);
  const settled = reserved === 0 ? all : Math.min(all, part(used - reserved));
  const colour = used >= limit * 0.9 ? "yellow" : "green";
  const free = "·".repeat(inner - all);
  return `[${paint(colour, "#".repeat(settled))}${paint("cyan", "+".repeat(all - settled))}${free}]`;
}

function deploymentLines(deployments: readonly Deployment[], { columns, paint }: TopOptions): string[] {
  const titles = [
    { title: "deployment", atLeast: 24, cutAt: "middle" },
    { title: "state" },
    { title: "running", align: "right" },
    { title: "reason", atLeast: 10, optional: true },
  ] as const;
  const rows = deployments.map(({ id, state, paused, running, max_concurrency, reason }) => [
    ...[id, paused ? "paused" : state.replaceAll("_", " "), `${running}/${max_concurrency}`, reason ?? ""],
  ]);
  return tableLines(titles, rows, columns, paint);
}
