// Converts a reasoning effort to what Claude expects: permission to think, and how much.
import type { Parameters } from "./request.ts";

/** The smallest budget that Claude accepts, in tokens. */
export const leastThinkingTokens = 1_024;

/** Shares of `max_tokens`, because a budget counts as output. */
const shares: Record<string, number> = { low: 0.2, medium: 0.5, high: 0.8 };

/** What a request with an effort asks of Claude. */
export type ClaudeThinking =
  | { type: "enabled"; budgetTokens: number }
  /** The model decides how much it thinks. The effort is a hint. */
  | { type: "adaptive"; effort: string };

/**
 * Returns how Claude should think, or undefined if it should not.
 * @param kind how the model is asked; see `ModelTraits.thinking`. Absent: the model is no Claude, or cannot think
 */
export function claudeThinking(
  { reasoningEffort: effort, maxTokens }: Pick<Parameters, "reasoningEffort" | "maxTokens">,
  kind: "budget" | "adaptive" | undefined,
): ClaudeThinking | undefined {
  if (effort === undefined || effort === "none" || kind === undefined) return undefined;
  if (kind === "adaptive") return { type: "adaptive", effort };
  return {
    type: "enabled",
    budgetTokens: Math.max(leastThinkingTokens, Math.floor(maxTokens * (shares[effort] ?? 1))),
  };
}
