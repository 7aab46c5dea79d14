// The state of a batch as people read it, and the errors of its file in few lines. Pure.
import { number } from "./format.ts";
import type { BatchResource } from "./resources.ts";

type Counted = Pick<BatchResource, "status" | "request_counts" | "progress">;

/**
 * Returns the state in words, and the state whose colour and symbol it has. A batch whose lines all failed is completed
 * for the API, but not for the person who waits for it.
 */
export function batchState({ status, request_counts: { completed, failed }, progress }: Counted): {
  state: string;
  words: string;
} {
  if (status !== "completed" || failed === 0) return { state: status, words: status.replaceAll("_", " ") };
  const what = progress.expired === failed ? "expired" : "failed";
  if (completed === 0) return { state: what, words: `all lines ${what}` };
  return { state: "partly_failed", words: `completed, ${number(failed)} ${what}` };
}

/** An error of one or more lines of a file. */
export interface LineErrors {
  /** The lines, such as `Lines 1 to 40, 52`. Names the file for an error of the whole file. */
  lines: string;
  param: string | null;
  message: string;
  count: number;
}

type FileError = NonNullable<BatchResource["errors"]>["data"][number];

/** Ranges of lines that one row names. */
const mostRanges = 5;

/** Returns the errors of a file, those with the same words together, in the order of their first lines. */
export function lineErrors(errors: readonly FileError[]): LineErrors[] {
  const groups = new Map<string, { errors: FileError[]; lines: number[] }>();
  for (const error of errors) {
    const key = `${error.param ?? ""}\n${error.message}`;
    const group = groups.get(key) ?? { errors: [], lines: [] };
    groups.set(key, group);
    group.errors.push(error);
    if (typeof error.line === "number") group.lines.push(error.line);
  }
  return [...groups.values()].map(({ errors: [first, ...rest], lines }) => ({
    lines: rangesOf(lines),
    param: first!.param ?? null,
    message: first!.message,
    count: rest.length + 1,
  }));
}

function rangesOf(lines: readonly number[]): string {
  const ranges: [from: number, to: number][] = [];
  for (const line of [...lines].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && line <= last[1] + 1) last[1] = line;
    else ranges.push([line, line]);
  }
  if (ranges.length === 0) return "The file";
  const shown = ranges
    .slice(0, mostRanges)
    .map(([from, to]) => (from === to ? number(from) : `${number(from)} to ${number(to)}`));
  const more = ranges.slice(mostRanges).reduce((sum, [from, to]) => sum + to - from + 1, 0);
  return (lines.length === 1 ? "Line " : "Lines ") + shown.join(", ") + (more > 0 ? ` and ${number(more)} more` : "");
}
