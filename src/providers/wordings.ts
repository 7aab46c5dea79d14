// Known wordings of providers, as data: the cause of a refusal, recognized by its wording. A status is not a cause. An
// invalid key is a 400 with one provider and a 401 with another, and a request that no endpoint supports is a 404. The
// first matching row decides, so a narrow row precedes a wide one. If no row matches, the status decides.
//
// Patterns see the error's code, type and message, one per line. They are wide where that is safe, so that similar
// sentences of other providers match too. `source` says where the wording was seen.

/**
 * What a refusal concerns:
 * - `too_long`: the prompt, or the prompt with the answer, exceeds the model's context
 * - `content`: a filter or a policy stopped this request
 * - `request`: something else about this request; others of the deployment may be served
 * - `account`: the key, the account, the model or the way the server is called: no request would be served
 * - `capacity`: the provider is busy, whatever status it uses
 * - `throttled`: a rate limit, whatever status it uses
 * - `unclear`: may concern the request or the account; the scheduler finds out (see suspicion.ts)
 */
export type Cause = "too_long" | "content" | "request" | "account" | "capacity" | "throttled" | "unclear";

/** One row of the table. */
export interface Wording {
  cause: Cause;
  pattern: RegExp;
  /** Statuses of refusals that the row matches. Default: any 4xx but 408, 424 and 429; for `too_long` also 5xx. */
  statuses?: readonly number[];
  /** What the operator can do about it. Only with `account`. Default: the adapter's general advice on access. */
  advice?: string;
  /** Wording as it was seen. A test checks that it matches this row. */
  example: string;
  /** Provider or server, and the thread or page that quotes the wording. */
  source: string;
}

const billing = "The account has no credit left or has reached its spending limit. Check its billing.";
/** General advice. An adapter that knows more about the key or the model replaces it. */
export const adviceOnKey = "Check the deployment's API key.";
export const adviceOnModel = "Check the deployment's modelId, and that the account may use the model.";
const account = "Ask the provider about the account, or use the credentials of another account.";

/** The table. The first matching row decides. */
export const wordings: readonly Wording[] = [
  // ---------------------------------------------------------------- how long the prompt may be
  {
    cause: "too_long",
    pattern: /context[ _-]?(window|length|size|limit)|exceed_context/i,
    example: "input length and `max_tokens` exceed context limit: 196395 + 64000 > 204698",
    source:
      "Anthropic; vLLM, llama.cpp, Ollama and OpenAI say the same: vllm-project/vllm#20409, ggml-org/llama.cpp#15780",
  },
  {
    cause: "too_long",
    pattern: /context.{0,8}overflow/i,
    example: "Trying to keep the first 15857 tokens when context the overflows.",
    source: "LM Studio: lmstudio-ai/lmstudio-bug-tracker#237",
  },
  {
    cause: "too_long",
    pattern: /max(imum)?[ _](prompt|input|sequence|model|total)[ _](length|size|len|tokens)\b|max_total_tokens/i,
    example: "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    source: "xAI; vLLM's max_model_len",
  },
  {
    cause: "too_long",
    pattern: /max_(completion_|new_)?tokens must be at least 1, got -\d/i,
    example: "max_tokens must be at least 1, got -186.",
    source: "vLLM: vllm-project/vllm#4667",
  },
  {
    cause: "too_long",
    pattern: /inputs?`? tokens ?\+ ?`?max_new_tokens|must have (less|fewer) than \d+ tokens|range of input length/i,
    example: "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 8740 and 500",
    source: "TGI: huggingface/text-generation-inference#695, huggingface_hub#2763; DashScope",
  },
  // max_tokens alone exceeds what the model can generate. The prompt does not matter.
  {
    cause: "request",
    pattern:
      /maximum tokens you requested|max_?(output_?|completion_?|new_?)?tokens?['"`]?:? (is |are |value )?.{0,20}(too (large|big|high)|exceeds?|must be (less|at most|lower|between|<)|greater than)/i,
    example: "The maximum tokens you requested exceeds the model limit of 8192.",
    source: "Bedrock; OpenAI: max_tokens is too large",
  },
  {
    cause: "request",
    pattern: /too large\b.{0,120}\b(tokens|requests) per (min|minute|day|hour)/i,
    example: "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7012",
    source: "Groq with 413, OpenAI with 429",
  },
  {
    cause: "too_long",
    pattern:
      /\b(prompt|inputs?|messages?|conversation|text|query|history)\b.{0,60}\btoo (long|large|big)\b|\b(prompt|input) too long/i,
    example: "The total length of all messages is too long.",
    source: "Anthropic, Bedrock, Replicate, Perplexity, Ollama: BerriAI/litellm#21647",
  },
  {
    cause: "too_long",
    pattern:
      /too many (input |prompt |total )?(tokens|text bytes)(?!.{0,20}(per |please wait))|too many total text bytes/i,
    example: "too many tokens: total number of tokens in the prompt cannot exceed 4081",
    source: "Cohere, AI21, Titan: BerriAI/litellm#21647",
  },
  {
    cause: "too_long",
    pattern:
      /(reduce|shorten|decrease|trim) (the |your )?(length|size|number)? ?(of )?(the |your )?(input |total )?(prompt|inputs?|messages?|text|conversation|tokens)/i,
    example: "Please reduce the length of the messages or completion.",
    source: "Groq, DeepSeek, OpenAI: BerriAI/litellm#15968",
  },
  {
    cause: "too_long",
    pattern:
      /\b(prompt|inputs?|messages?|conversation|context|requests?|requested|total)\b.{0,60}\b(exceed(s|ed)?|longer than|larger than|greater than|more than|above|over|surpass(es|ed)?)\b.{0,60}\b(max(imum)?|limit|length|window|tokens?|allowed|supported)\b/i,
    example: "Requested token count exceeds the model limit of 131072 tokens",
    source: "Bedrock, Gemini, Copilot, Azure, Together, sglang, z.ai, Kimi: BerriAI/litellm#17751, #37862, #10793",
  },
  {
    cause: "too_long",
    pattern:
      /(input|prompt|total|context)[ _-]?tokens? (count |limit )?exceed|token limit exceeded|exceed\w* .{0,20}token limit|exceeds? (the )?maximum (allowed )?(input|prompt)/i,
    example: "Token limit exceeded",
    source: "Nova on Bedrock: Input Tokens Exceeded; Kimi; Poolside",
  },
  {
    cause: "too_long",
    pattern: /token count .{0,60}(supports?|accepts?|takes) (only )?up to|tokens in request more than/i,
    example: "The input token count is 40000 but model only supports up to 32768.",
    source: "Vertex AI",
  },

  // ---------------------------------------------------------------- retired models
  // Precede the rows on what a request asks for, because a model's own name may contain the word vision or tool. A
  // sentence about a field that a model no longer accepts is left to those rows.
  {
    cause: "account",
    pattern:
      /\b(model|engine|deployment)\b(?:(?!\b(field|param(eter)?|option|argument|property|key|value|header|tools?|temperature|top_[pk]|stop\w*|thinking|system|prefill|format|max_\w+|does|support|returned)\b)[^;!?\n]){0,100}?\b((has|have) been|was|were|is|are|been|got) (now |already |permanently |fully |officially |currently )?(deprecated|decommissioned|retired|sunset(ted)?|discontinued|withdrawn|removed|disabled|shut ?down|shut off|turned off|switched off|taken (down|offline)|unavailable|no longer (available|supported|served|offered|accessible|active|maintained|hosted|provided))\b/i,
    advice: adviceOnModel,
    example: "The model `gpt-4` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations",
    source: "OpenAI with 404; Groq, Together, Fireworks with 400",
  },
  {
    cause: "account",
    pattern:
      /\b(deprecated|decommissioned|retired|discontinued|disabled) (model|engine|deployment)\b|\b(model|deployment)_?(deprecated|retired|discontinued|disabled|removed|unavailable)\b|^model: \S+$/im,
    advice: adviceOnModel,
    example: "model: claude-2.1",
    source: "Anthropic with 404; Azure: DeploymentRetired",
  },

  // ---------------------------------------------------------------- what one request asks for
  {
    cause: "request",
    pattern: /no endpoints? (found|available).{0,20}(support|can handle|match\w* (the|your) request)/i,
    example: "No endpoints found that support tool use. To learn more about provider routing, visit ...",
    source: "OpenRouter with 404: dnakov/anon-kode#2, zed-industries/zed#36094, musistudio/claude-code-router#251",
  },
  {
    cause: "request",
    pattern:
      /ApplyGuardrail|:guardrail\/|guardrail (identifier|version|id|configuration|profile)|\bguardrail\b.{0,60}(not (found|exist|authorized)|does(n't| not) exist|invalid)/i,
    example:
      "User: x is not authorized to perform: bedrock:ApplyGuardrail on resource: arn:aws:bedrock:eu-west-1:1:guardrail/g",
    source: "Bedrock with 403 or 400: digital-go-jp/genai-web#25, aws/aws-sdk-js-v3#6482",
  },
  {
    cause: "request",
    pattern:
      /\b(file|image|document|audio|video|attachment|item|(previous )?response|conversation|thread|cached ?content|prompt cache|vector store|container|batch)s?\b.{0,60}\b(not found|does(n't| not) exist|could not be (found|downloaded|fetched)|has expired)|no such (file|image|document)/i,
    example: "Previous response with id 'resp_1' not found.",
    source: "OpenAI, Azure, Gemini with 404",
  },
  {
    cause: "request",
    pattern:
      /\b(tools?|tool_choice|tool calling|function(s| calling)?|images?|vision|audio|system (messages?|prompts?)|json[ _]schema|response_format|structured outputs?|log_?probs|stop ?sequences?|temperature|top_p|top_k|reasoning\w*|thinking|penalt\w+|cache ?control|prompt caching)\b['"`]?.{0,60}\b(is|are|not|isn't|aren't|doesn't|unsupported)\b.{0,40}\b(supported|support|allowed|available|deprecated|permitted)\b/i,
    example: "`temperature` is deprecated for this model.",
    source: "Bedrock, OpenAI, vLLM, Ollama",
  },
  {
    cause: "request",
    pattern:
      /\bdoes(n't| not) support (the )?(use of )?['"`]?(tools?\b|tool|function|image|vision|audio|system|json|structured|response_format|stop|log_?probs|temperature|top_|reasoning|thinking|parallel|cach|prefill|assistant)/i,
    example: "registry.ollama.ai/library/llama2 does not support tools",
    source: "Ollama, Bedrock with 400",
  },

  // ---------------------------------------------------------------- the account, its key and its billing
  {
    cause: "account",
    pattern:
      /has not been used in project|service_disabled|api.{0,40}(not enabled|is disabled)|requests to this api .{0,80}are blocked/i,
    advice: account,
    example: "Generative Language API has not been used in project 1 before or it is disabled.",
    source: "Gemini with 403",
  },
  // Precedes content: a past violation of a policy may have closed the account.
  {
    cause: "account",
    pattern:
      /\b(account|organi[sz]ation|project|workspace|subscription|api key|access|your key)\b.{0,60}\b(disabled|suspended|deactivated|restricted|banned|terminated|closed|inactive|not active|on hold|delinquent|blocked)\b|\b(disabled|suspended|deactivated|restricted|banned|terminated|blocked) (account|organi[sz]ation|project|workspace|user|key)|access_terminated|account_deactivated/i,
    advice: account,
    example: "This organization has been disabled.",
    source:
      "Anthropic with 400: anthropics/claude-code#8327; Groq with 400, OpenAI: songquanpeng/one-api#271; Fireworks with 412",
  },
  {
    cause: "account",
    pattern:
      /\b(account|organi[sz]ation|project|user)\b.{0,60}\b(must be|needs to be|(is|has) not( yet)?( been)?|pending) verifi(ed|cation)/i,
    advice: account,
    example: "Your organization must be verified to use the model `o3`.",
    source: "OpenAI with 403 or 404",
  },
  // The account might afford less. The next jobs show whether all are refused.
  {
    cause: "unclear",
    pattern: /more credits, or fewer max_tokens|can only afford/i,
    example:
      "This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 1234.",
    source: "OpenRouter with 402",
  },
  {
    cause: "account",
    pattern:
      /credit balance|insufficient[ _](credits?|balance|funds|quota)|\b(no|not enough|out of|run out of|ran out of|exhausted|used (up )?all( of)?( your| available)*|add( more)?|buy( more)?|purchase( more)?) (available )?(credits?|balance|funds)\b|payment[ _](required|method|instrument)|\bbilling\b.{0,60}\b(not (active|enabled)|inactive|hard limit|limit|disabled|issue|failed|overdue|required|unpaid)|billing_\w+|(unpaid|overdue|past[ -]due) (invoice|balance|bill)|arrear|top up your|recharge your/i,
    advice: billing,
    example:
      "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
    source:
      "Anthropic with 400: anthropics/claude-code#34521; DeepSeek, OpenRouter with 402; OpenAI: Billing hard limit has been reached",
  },
  {
    cause: "account",
    pattern:
      /\b(key|spend\w*|budget|usage|monthly|weekly|daily|credit) (limit|cap)s?\b.{0,40}\b(exceeded|reached|hit)|\b(exceeded|reached|hit) (your|the) .{0,40}(usage|spend\w*|billing|budget|monthly) (limit|cap|quota)s?|exceeded your (current|monthly|available) (quota|usage|credits?|budget)/i,
    advice: billing,
    example: "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
    source: "Anthropic with 400; OpenRouter with 403: RooCodeInc/Roo-Code#515",
  },
  {
    cause: "account",
    pattern:
      /\b(incorrect|invalid|wrong|missing|expired|revoked|malformed|unknown|no|bad|unrecogni[sz]ed)\b.{0,30}\b(api[ _-]?key|x-api-key|access[ _-]?(key|token)|auth\w*([ _-](key|token|header|credentials?))?|bearer( token)?|subscription key|credentials|iam token)\b/i,
    advice: adviceOnKey,
    example: "Access denied due to invalid subscription key or wrong API endpoint.",
    source: "OpenAI, Groq, Anthropic with 401; OpenRouter: No auth credentials found; Azure",
  },
  {
    cause: "account",
    pattern:
      /\b(api[ _-]?key|x-api-key|access[ _-]?(key|token)|bearer token|auth(entication|orization)?[ _-](key|token|header))s?\b.{0,60}\b(invalid|not valid|not found|not exist|expired|revoked|missing|required|incorrect|disabled|blocked|leaked|wrong|not (been )?(provided|recogni[sz]ed|authorized|active|set|accepted)|have permission)/i,
    advice: adviceOnKey,
    example: "API key not valid. Please pass a valid API key.",
    source: "Gemini with 400: google-gemini/gemini-cli#25198; DeepSeek with 401",
  },
  {
    cause: "account",
    pattern:
      /\bprovide (an|a valid|your) api[ _-]?key|authentication (fails|failed|required|is required|error|parameter)|(could not|failed to|unable to|cannot) authenticate|not authenticated|\bunauthenticated\b|authentication_error|^\W*unauthori[sz]ed\W*$|^user not found\W*$|invalid_authentication/im,
    advice: adviceOnKey,
    example: "Authentication Fails (no such user)",
    source: "DeepSeek, vLLM, Moonshot, OpenRouter with 401",
  },
  {
    cause: "account",
    pattern: /(country|region|territory|location)\b.{0,40}\bnot (supported|available|allowed)|unsupported_country/i,
    advice: "The provider does not serve the country or region that the calls come from.",
    example: "Country, region, or territory not supported",
    source: "OpenAI with 403; Gemini with 400: User location is not supported for the API use",
  },
  {
    cause: "account",
    pattern:
      /virtual network|firewall rules?|public (network )?access is disabled|ip address.{0,40}not (allowed|authorized|whitelisted)/i,
    advice: "Allow this machine in the provider's firewall.",
    example: "Access denied due to Virtual Network/Firewall rules.",
    source: "Azure with 403: Azure-Samples/azure-sql-db-chatbot#3",
  },
  {
    cause: "account",
    pattern: /data policy|guardrail restrictions|no allowed providers/i,
    advice: "Correct the account's privacy settings, or the providers that it allows.",
    example:
      "No endpoints found matching your data policy. Enable prompt training here: https://openrouter.ai/settings/privacy",
    source: "OpenRouter with 404: truefoundry/models#826, ShamanicArts/Flow.Launcher.Plugin.AI-Assistant#2",
  },
  {
    cause: "account",
    pattern: /^\W*operation not allowed\W*$/im,
    advice: "AWS has not enabled Bedrock for this account. Check its payment method and open a support case with AWS.",
    example: "Operation not allowed",
    source: "Bedrock with 400: aws/aws-cli#8717, langgenius/dify#7488, langchain-ai/langchain#19215",
  },
  {
    cause: "account",
    pattern:
      /\baccount\b.{0,20}\b(is |are )?not (authorized|allowed|permitted|entitled|eligible|enabled|onboarded|subscribed)/i,
    advice: "Check that the account has access to the model in this region, or open a support case with the provider.",
    example: "Your account is not authorized to invoke this API operation.",
    source: "Bedrock with 400 and 403: aws-samples/amazon-bedrock-audio-summarizer#3, aws-samples/bedrock-chat#471",
  },
  {
    cause: "account",
    pattern:
      /marketplace|model access is denied|(don't|do not|does not|doesn't|not) have (access|permission|authorization)|not allowed for this (account|organi|project)|use case details|no access to (the |this )?model|\baccess to .{0,60}models? is (not allowed|denied)/i,
    example: "You don't have access to the model with the specified model ID.",
    source: "Bedrock with 403: dirkpetersen/our-chat#3, aws-samples/anthropic-on-aws#252",
  },
  // An explicit deny may depend on what the request names, such as a guardrail. The next jobs show that.
  {
    cause: "account",
    pattern:
      /not authorized to perform: bedrock:(InvokeModel|Converse|CallWithBearerToken)\w*(?!.{0,600}explicit deny)/i,
    example: "User: bob is not authorized to perform: bedrock:InvokeModel because no policy allows it",
    source: "Bedrock with 403: aws-samples/sample-badgers#33",
  },

  // ---------------------------------------------------------------- the model, and how it is called
  {
    cause: "account",
    pattern:
      /\b(model|deployment|engine)\b(?!'?s? (returned|input|output|request|response|param|option|argument|setting|config|prompt|message|content|format|data|body|call)).{0,120}\b(not found|not exist|n't exist|could not be found|decommissioned|retired|shut ?down|no longer (available|supported)|not (currently )?(available|deployed|loaded|accessible)|inaccessible|end of (its )?life|legacy|not a valid|is invalid)|\b(unknown|invalid|no such|unsupported) model\b(?!'?s? (returned|input|output|request|response|param|option|argument|setting|config|prompt|message|content|format|data|body|call))|model_?(not_?found|decommissioned)|DeploymentNotFound|not a valid model|try pulling it|no models? (is |are )?loaded|could not resolve the foundation model/i,
    advice: adviceOnModel,
    example: "Model not found, inaccessible, and/or not deployed",
    source:
      "Fireworks, OpenAI, Groq, Azure, DeepSeek, Ollama, LM Studio, Bedrock: continuedev/continue#10166, chatboxai/chatbox#646",
  },
  {
    cause: "account",
    pattern:
      /no endpoints? (found )?for |API deployment for this resource|on-demand throughput|non-serverless model|unable to access model/i,
    advice: adviceOnModel,
    example: "No endpoints found for nousresearch/hermes-3-llama-3.1-405b:free.",
    source: "OpenRouter with 404: vyancharuk/nodejs-api-boilerplate#16; Azure; Bedrock; Together",
  },
  {
    cause: "account",
    pattern:
      /\bnot a chat model|not supported in (the )?v1\/|only supported in v1\/|does(n't| not) support (chat|generate)\b|for streaming\b|support(s|ed)? (for )?stream(ing)?\b(?! (tool|func))|streaming is not/i,
    advice: adviceOnModel,
    example: "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
    source: "OpenAI with 404; Ollama with 400",
  },
  {
    cause: "account",
    pattern:
      /^\W*(404 )?(page )?not found\W*$|cannot post|invalid url|unknown (request )?url|no (matching )?route|route .{0,80}not found|unsupported api.version/im,
    statuses: [404],
    example: "404 page not found",
    source: "Go's and FastAPI's routers; OpenAI: Invalid URL (POST /v1/x)",
  },

  // ---------------------------------------------------------------- content
  {
    cause: "content",
    pattern:
      /content[ _-]?(management policy|filter\w*|policy|moderation)|responsible ai|safety (system|filter|policy|settings|guidelines)|\bflagged\b|moderation|violat\w+ .{0,60}polic|data_inspection_failed|inappropriate content|sensitive (content|information|words?)|prohibited_content|content exists risk|blocked by .{0,40}(safety|filter)/i,
    example: "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    source: "Azure, DeepSeek, DashScope, OpenRouter with 400 or 403",
  },

  // ---------------------------------------------------------------- temporary causes
  {
    cause: "throttled",
    pattern: /rate[ _-]?limit|too many requests|\bthrottl|(requests|tokens) per (second|minute|day)\b.{0,40}exceed/i,
    example: "Rate limit exceeded, please slow down",
    source: "gateways with 403 or 400",
  },
  {
    cause: "capacity",
    pattern:
      /overloaded|over capacity|at capacity|no (available )?capacity|\b(server|engine|model)\b.{0,60}\b(busy|loading)\b|temporarily unavailable/i,
    example: "Model x is currently loading",
    source: "TGI, OpenRouter, SambaNova",
  },
];

/** Longest text that is searched, in characters. Longer ones are not sentences of a provider. */
const longestRead = 4_000;

/**
 * Returns the cause that a provider's wording names, or undefined if no row matches.
 * @param words code, type and message, one per line
 * @param status HTTP status, or a replacement for it. Undefined if there is none
 */
export function knownCause(words: string, status: number | undefined): Pick<Wording, "cause" | "advice"> | undefined {
  const text = words.slice(0, longestRead).replaceAll("’", "'");
  return wordings.find((row) => applies(row, status) && row.pattern.test(text));
}

const notRefused: readonly number[] = [408, 424, 429];

function applies({ cause, statuses }: Wording, status = 400): boolean {
  if (statuses) return statuses.includes(status);
  if (cause === "too_long") return status !== 429 && status !== 503 && status !== 529;
  return status < 500 && !notRefused.includes(status);
}
