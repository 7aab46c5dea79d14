// What a call used if the provider never says so: an estimate that limits, budgets and usage count until it is known.
import type { Attempt, AttemptEnd } from "../../domain/job.ts";
import { estimateTokens } from "../../domain/tokens.ts";
import type { ProviderAnswer } from "../../providers/provider.ts";

/** Counts the output of one call as it streams. */
export class OutputMeter {
  #tokens = 0;

  /** Estimated tokens of all pieces so far. */
  get tokens(): number {
    return this.#tokens;
  }

  readonly add = (piece: string): void => {
    this.#tokens += estimateTokens(piece);
  };
}

/** Estimated output tokens of a whole answer. */
export function outputOf({ text, toolCalls }: ProviderAnswer): number {
  return estimateTokens(text) + toolCalls.reduce((sum, call) => sum + estimateTokens(JSON.stringify(call)), 0);
}

/**
 * The end of a call that may have been billed, with an estimate in place of usage that is missing.
 * @param seen estimated output tokens that arrived; without any, the output counts as reserved
 */
export function withEstimate(end: AttemptEnd, { reserved }: Pick<Attempt, "reserved">, seen: number): AttemptEnd {
  if (end.usage !== undefined) return end;
  const output = seen > 0 ? Math.min(seen, reserved.output) : reserved.output;
  return { ...end, usage: { input: reserved.input, output }, estimated: true };
}
