// The models of bench/held.ts and its servers.

export const nova = "us.amazon.nova-lite-v1:0";
export const claude = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
