// The progress of a batch: on a terminal a bar that is drawn again in place, elsewhere a line now and then.
import type { BatchResource } from "../client/index.ts";
import { dollars, duration, grouped, rate, short } from "./formats.ts";
import { LiveLine } from "./live-line.ts";
import { columnsOf, type Output, type Paint, paintFor } from "./terminal.ts";

/** What one drawing shows. */
export interface Progress {
  /** `uploading`, or the status of the batch. */
  phase: string;
  /** Completed lines, or uploaded bytes. */
  done: number;
  failed: number;
  /** Absent while it is not known. */
  total?: number;
  /** Lines that ended per second. */
  perSecond?: number;
  /** Milliseconds until the last line is expected to end. */
  leftMs?: number;
  cost?: { usd: number; exact: boolean };
}

const widestBar = 30;
const narrowestBar = 6;
/** Milliseconds between two lines where the output is not a terminal, unless the phase changes. */
const lineEachMs = 10_000;
/** The rate is measured over the latest part of this length, in milliseconds. */
const rateOverMs = 30_000;

export class BatchProgressBar {
  readonly #out: Output;
  readonly #line: LiveLine;
  readonly #paint: Paint;
  readonly #now: () => number;
  readonly #isTerminal: boolean;
  readonly #ended: { at: number; lines: number }[] = [];
  #shown?: { phase: string; at: number };

  /** @param isTerminal whether to draw a bar in place; default: whether the output is a terminal */
  constructor(out: Output, now: () => number, isTerminal = out.isTTY === true) {
    this.#out = out;
    this.#now = now;
    this.#isTerminal = isTerminal;
    this.#line = new LiveLine(out);
    this.#paint = paintFor(out);
  }

  /** Shows how many bytes of the file were uploaded. */
  uploaded(bytes: number, total: number): void {
    this.#show({ phase: "uploading", done: bytes, failed: 0, total });
  }

  /** Shows a batch as it was just read. */
  batch(batch: BatchResource, cost?: Progress["cost"]): void {
    this.#show(progressOf(batch, this.#rateOf(batch), this.#now(), cost));
  }

  /** Removes the bar. */
  clear(): void {
    this.#line.clear();
  }

  #rateOf({ progress, status }: BatchResource): number | undefined {
    if (status !== "in_progress") return undefined;
    const lines = progress.completed + progress.failed + progress.expired + progress.cancelled;
    this.#ended.push({ at: this.#now(), lines });
    while (this.#ended.length > 2 && this.#now() - this.#ended[0]!.at > rateOverMs) this.#ended.shift();
    const first = this.#ended[0]!;
    const seconds = (this.#now() - first.at) / 1000;
    return seconds > 0 ? (lines - first.lines) / seconds : undefined;
  }

  #show(progress: Progress): void {
    if (this.#isTerminal) {
      this.#line.show(barLine(progress, (this.#out.columns || 80) - 1, this.#paint));
      return;
    }
    const { phase } = progress;
    if (this.#shown?.phase === phase && this.#now() - this.#shown.at < lineEachMs) return;
    this.#shown = { phase, at: this.#now() };
    this.#out.write(`${plainLine(progress)}\n`);
  }
}

/** Returns what to show of a batch. */
export function progressOf(
  { status, request_counts: counts, progress, eta, expected_finish: finish }: BatchResource,
  perSecond: number | undefined,
  now: number,
  cost?: Progress["cost"],
): Progress {
  const { total } = counts;
  const failed = counts.failed + progress.cancelled;
  const left = total - counts.completed - failed;
  const byRate = perSecond !== undefined && perSecond > 0 ? (left / perSecond) * 1000 : undefined;
  const end = finish ?? eta;
  const leftMs = end === undefined ? byRate : Math.max(0, end * 1000 - now);
  return {
    phase: status,
    done: counts.completed,
    failed,
    ...(total > 0 && { total }),
    ...(perSecond !== undefined && { perSecond }),
    ...(status === "in_progress" && leftMs !== undefined && { leftMs }),
    ...(cost && { cost }),
  };
}

/** Returns one line with a bar that fits into a number of columns. If it does not, parts are left out from the end. */
export function barLine(progress: Progress, columns: number, paint: Paint = (_, text) => text): string {
  const { phase, done, failed, total } = progress;
  if (total === undefined) return phase.replaceAll("_", " ");
  const percent = `${Math.floor(((done + failed) / total) * 100)}%`.padStart(5);
  const parts = [
    phase === "in_progress" || phase === "uploading" ? "" : phase,
    phase === "uploading" ? `uploading ${short(done)}B of ${short(total)}B` : `${grouped(done)}/${grouped(total)}`,
    failed > 0 ? `${grouped(failed)} failed` : "",
    ...measures(progress),
  ].filter((part) => part !== "");
  const textOf = () => `${percent}  ${parts.join("  ")}`;
  while (parts.length > 1 && columnsOf(textOf()) + narrowestBar + 2 > columns) parts.pop();
  const bar = Math.min(widestBar, columns - columnsOf(textOf()) - 2);
  const text = failed > 0 ? textOf().replace(`${grouped(failed)} failed`, (part) => paint("red", part)) : textOf();
  if (bar < narrowestBar) return text.trimStart();
  const ok = Math.floor((done / total) * bar);
  const bad = Math.min(bar - ok, failed > 0 ? Math.max(1, Math.floor((failed / total) * bar)) : 0);
  const rest = "·".repeat(bar - ok - bad);
  return `[${paint("green", "#".repeat(ok))}${paint("red", "x".repeat(bad))}${rest}]${text}`;
}

/** Returns the same as text without a bar. */
export function plainLine(progress: Progress): string {
  const { phase, done, failed, total } = progress;
  if (phase === "uploading") return `uploading ${short(done)}B of ${short(total ?? done)}B`;
  const counts =
    total === undefined ? "" : `: ${grouped(done)} of ${grouped(total)} completed, ${grouped(failed)} failed`;
  return `${phase}${counts}${measures(progress)
    .map((part) => `, ${part}`)
    .join("")}`;
}

function measures({ perSecond, leftMs, cost }: Progress): string[] {
  return [
    perSecond === undefined ? "" : rate(perSecond),
    leftMs === undefined ? "" : `ETA ${duration(leftMs)}`,
    cost === undefined ? "" : `${cost.exact ? "" : "~"}${dollars(cost.usd)}`,
  ].filter((part) => part !== "");
}
