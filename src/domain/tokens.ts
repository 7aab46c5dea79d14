// Tokens are what quotas are counted in. Here is only the cheap estimate that every submit can afford.

/** Tokens of one call: input (prompt, system, tools) and output (what may be, or was, generated). */
export interface TokenCount {
  input: number;
  output: number;
}
