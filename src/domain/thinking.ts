// Converts a reasoning effort to what Claude and Nova expect: permission to think, and how much.
import type { Parameters } from "./request.ts";

/** The smallest budget that Claude accepts, in tokens. */
export const leastThinkingTokens = 1_024;

/** Shares of `max_tokens`, because a budget counts as output. */
const shares: Record<string, number> = { low: 0.2, medium: 0.5, high: 0.8 };

/** What a request with an effort asks of the model. */
export type Thinking =
  | { type: "enabled"; budgetTokens: number }
  /** The model decides how much it thinks. The effort is a hint. */
  | { type: "adaptive"; effort: string }
  | { type: "nova"; effort: string };

/**
 * Returns how the model should think, or undefined if it should not.
 * @param kind how the model is asked; see `ModelTraits.thinking`. Absent: it takes the effort as it is, or cannot think
 */
export function thinkingFor(
  { reasoningEffort: effort, maxTokens }: Pick<Parameters, "reasoningEffort" | "maxTokens">,
  kind: "budget" | "adaptive" | "nova" | undefined,
): Thinking | undefined {
  if (effort === undefined || effort === "none" || kind === undefined) return undefined;
  if (kind !== "budget") return { type: kind, effort };
  return {
    type: "enabled",
    budgetTokens: Math.max(leastThinkingTokens, Math.floor(maxTokens * (shares[effort] ?? 1))),
  };
}
