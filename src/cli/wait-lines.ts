// Shows why a job waits: on a terminal in one line that changes, elsewhere in one line for each change.
import type { Job } from "../client/index.ts";
import { LiveLine } from "./live-line.ts";
import { type Output, oneLine } from "./terminal.ts";

export class WaitLines {
  readonly #out: Output;
  readonly #line: LiveLine;
  #last = "";

  constructor(out: Output) {
    this.#out = out;
    this.#line = new LiveLine(out);
  }

  /** Shows a job as it was just read. */
  show(job: WaitingJob): void {
    const { text, eta } = describe(job);
    const line = oneLine(eta === undefined ? text : `${text} ${eta}`);
    if (this.#out.isTTY) {
      this.#line.show(line);
    } else if (text !== this.#last) {
      // A slightly later expected start alone is not worth a line.
      this.#last = text;
      this.#out.write(`${line}\n`);
    }
  }

  /** Removes the line, before the answer is printed. */
  done(): void {
    this.#line.clear();
    this.#last = "";
  }
}

export type WaitingJob = Pick<Job, "status" | "position" | "waiting_on" | "eta" | "attempts">;

function describe({ status, position, waiting_on: on, eta, attempts }: WaitingJob): { text: string; eta?: string } {
  if (status !== "queued") {
    const deployment = attempts?.at(-1)?.deployment;
    return {
      text: status === "in_progress" ? `Running${deployment ? ` on ${deployment}` : ""}.` : `The job is ${status}.`,
    };
  }
  const place = position === null || position === undefined ? "Queued" : `Queued at position ${position}`;
  const text = on ? `${place}. ${on.message}` : `${place}.`;
  return eta ? { text, eta: `Expected start: ${eta}.` } : { text };
}
