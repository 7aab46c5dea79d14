// What is printed while a command waits for a job: on a terminal one line that changes, elsewhere a line for each change.
import type { Job } from "../client/index.ts";

export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  /** Width of the terminal, in characters. */
  columns?: number;
}

/** Erases the line that the cursor is in. */
const clear = "\r\u001b[K";

export class WaitLines {
  readonly #out: Output;
  #last = "";

  constructor(out: Output) {
    this.#out = out;
  }

  /** @param job as it was read just now */
  show(job: WaitingJob): void {
    const { text, eta } = describe(job);
    const line = eta === undefined ? text : `${text} ${eta}`;
    if (this.#out.isTTY) {
      this.#last = cut(line, (this.#out.columns ?? 80) - 1);
      this.#out.write(clear + this.#last);
    } else if (text !== this.#last) {
      // A start that is expected a little later than before is no news.
      this.#last = text;
      this.#out.write(`${line}\n`);
    }
  }

  /** Removes the line, before the answer is printed. */
  done(): void {
    if (this.#out.isTTY && this.#last !== "") this.#out.write(clear);
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

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}
