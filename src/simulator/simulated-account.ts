// The simulated AWS account, other than its models: the quotas that are listed for it, and the roles that can be assumed
// in it.

/** Properties of the account. */
export interface SimulatedAccount {
  /**
   * Rows of Service Quotas by name, in addition to those of the known models. A row replaces another of the same name,
   * and `null` removes it.
   */
  listedQuotas?: Record<string, ListedValue | null>;
  /** Lifecycles other than ACTIVE, by bare model ID. Dates are in ISO 8601. */
  lifecycles?: Record<string, { status: "ACTIVE" | "LEGACY"; legacyTime?: string; endOfLifeTime?: string }>;
  /** Roles that may be assumed, by ARN, with the external ID that each requires. Default: any role. */
  roles?: Record<string, { externalId?: string }>;
  /** Maximum number of rows and profiles per page. Default 100. */
  pageSize?: number;
  /**
   * Whether Bedrock and Service Quotas refuse with AccessDeniedException, as for an account without permissions.
   * Default false.
   */
  denied?: boolean;
}

/** Values of a row of Service Quotas. */
export interface ListedValue {
  /** Value in ListAWSDefaultServiceQuotas. */
  default: number;
  /** Value in ListServiceQuotas. Absent: not listed there. */
  applied?: number;
  code?: string;
}

/** Names of the models in Service Quotas, by bare ID. */
const displayNames: Record<string, string> = {
  "meta.llama3-1-8b-instruct-v1:0": "Meta Llama 3.1 8B Instruct",
  "meta.llama3-1-70b-instruct-v1:0": "Meta Llama 3.1 70B Instruct",
  "meta.llama3-3-70b-instruct-v1:0": "Meta Llama 3.3 70B Instruct",
  "meta.llama4-maverick-17b-instruct-v1:0": "Meta Llama 4 Maverick V1",
  "meta.llama4-scout-17b-instruct-v1:0": "Meta Llama 4 Scout V1",
  "amazon.nova-micro-v1:0": "Amazon Nova Micro",
  "amazon.nova-lite-v1:0": "Amazon Nova Lite",
  "amazon.nova-pro-v1:0": "Amazon Nova Pro",
  "amazon.nova-2-lite-v1:0": "Amazon Nova 2 Lite",
  "anthropic.claude-haiku-4-5-20251001-v1:0": "Anthropic Claude Haiku 4.5",
  "anthropic.claude-sonnet-4-5-20250929-v1:0": "Anthropic Claude Sonnet 4.5 V1",
  "anthropic.claude-opus-4-7": "Anthropic Claude Opus 4.7",
  "openai.gpt-oss-120b-1:0": "OpenAI GPT OSS 120B",
  "qwen.qwen3-32b-v1:0": "Qwen3 32B V1",
  "deepseek.r1-v1:0": "DeepSeek R1 V1",
};

/** Values of the rows for a model whose quotas the simulator does not count. */
const published = { requests: 800, tokens: 600_000 };

/** Each way of calling has its own quotas. */
const scopes = ["On-demand model inference", "Cross-region model inference", "Global cross-region model inference"];

/** Returns all rows, in the order of the list. */
export function listedRows(
  { listedQuotas = {} }: SimulatedAccount,
  counted: { requestsPerMinute?: number; tokensPerMinute?: number },
): { name: string; code: string; value: ListedValue }[] {
  const rows = new Map<string, ListedValue | null>();
  for (const display of Object.values(displayNames)) {
    for (const scope of scopes) {
      const requests = counted.requestsPerMinute;
      const tokens = counted.tokensPerMinute;
      rows.set(`${scope} requests per minute for ${display}`, rowValue(published.requests, requests));
      rows.set(`${scope} tokens per minute for ${display}`, rowValue(published.tokens, tokens));
    }
    // Rows that do not limit calls, of which AWS lists hundreds.
    rows.set(`Records per batch inference job for ${display}`, { default: 50_000 });
  }
  rows.set("Cross-Model Max Tokens Per Day", { default: 700_000_000, code: "L-E3F10727" });
  for (const [name, value] of Object.entries(listedQuotas)) rows.set(name, value);
  return [...rows].flatMap(([name, value], i) =>
    value ? [{ name, code: value.code ?? `L-${(0x10000000 + i).toString(16).toUpperCase()}`, value }] : [],
  );
}

function rowValue(standard: number, counted: number | undefined): ListedValue {
  return { default: standard, ...(counted !== undefined && { applied: counted }) };
}

/** Returns a model's name in Service Quotas, or its ID if it has none. */
export function displayNameOf(bareId: string): string {
  return Object.hasOwn(displayNames, bareId) ? displayNames[bareId]! : bareId;
}
