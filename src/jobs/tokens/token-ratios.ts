// Learns how many tokens a model's provider counts for each token that Sluice counts, from reported usage.
//
// Sluice counts with cl100k for every model. The configured `tokenFactor` of a model makes that count safe at first.
// The learned factor replaces it, per model and for prompts of about the same length. A template of 20 tokens is much
// in a short prompt and nothing in a long one.
//
//   factor = 1.02 x the largest ratio (input that the provider counted / Sluice's count) of the last 64 to 127 calls
//
// It applies once 64 calls of a length have been measured. Before that, the configured factor applies, or the largest
// ratio so far if that is larger. A ratio above the factor counts at once.
//
// So a reservation is too small only for a call whose ratio exceeds each of the 64 measured before it by more than 2 %.
// If calls are alike, that is less than one in 65, whatever their distribution. It is never larger than 1.02 x the
// largest of the last 127 requires. No report moves the factor below half of the configured one or above four times it.
//
// Learning does not change the reserved output: the provider reserves max_tokens, and so does Sluice. The used share is
// only reported, because a tight max_tokens saves most quota.
import type { Settings } from "../../config/settings.ts";
import type { Usage } from "../../domain/job.ts";
import { mediaTokens } from "../../domain/media-tokens.ts";
import type { JobRequest } from "../../domain/request.ts";

/** Upper end of each class of lengths, in tokens as Sluice counts them. */
const lengths = [64, 256, 1024, 4096, Number.POSITIVE_INFINITY] as const;
/** Calls in one generation. Two generations are kept: the growing one and the previous one. */
const generation = 64;
export const margin = 1.02;
const [leastOfConfigured, mostOfConfigured] = [0.5, 4];
/** Weight of one call in an average. */
const inertia = 1 / 64;

/** Ratios of prompts of about one length. */
interface Envelope {
  /** The largest ratio of the last full generation. 0 while there is none. */
  before: number;
  /** The largest ratio of the current generation, and its number of calls. */
  largest: number;
  calls: number;
}

interface ModelRatios {
  /** Ratios by class of length. */
  input: Envelope[];
  /** Averages: provider's input per counted token, and output per token of max_tokens. 0 while unknown. */
  inputMean: number;
  outputMean: number;
}

/** Saved and shared ratios by model alias, as JSON. */
export type SavedRatios = Record<string, ModelRatios>;

export interface LearnedRatios {
  /** The provider's average input tokens per token that Sluice counts. */
  input: number;
  /** The average share of max_tokens that is used. */
  output: number;
}

export class TokenRatios {
  readonly #own = new Map<string, ModelRatios>();
  #others: readonly SavedRatios[] = [];

  /** Returns the factor by which Sluice's count of a prompt is multiplied. */
  factor(model: string, counted: number, configured: number): number {
    const at = classOf(counted);
    const envelopes = this.#all(model).map((ratios) => ratios.input[at]!);
    const seen = margin * Math.max(0, ...envelopes.map(largestOf));
    const isKnown = envelopes.some((envelope) => envelope.before > 0);
    const learned = isKnown ? seen : Math.max(configured, seen);
    return Math.min(mostOfConfigured * configured, Math.max(leastOfConfigured * configured, learned));
  }

  /**
   * Learns from a successful call.
   * @param counted Sluice's count of its prompt
   */
  observe(model: string, counted: number, usage: Usage, maxTokens: number): void {
    const input = usage.input + (usage.cacheRead ?? 0) + (usage.cacheWrite ?? 0);
    // Some providers report zero for unknown usage.
    if (counted <= 0 || input <= 0) return;
    const ratios = this.#own.get(model) ?? fresh();
    this.#own.set(model, ratios);
    add(ratios.input[classOf(counted)]!, input / counted);
    ratios.inputMean = moved(ratios.inputMean, input / counted);
    if (maxTokens > 0) ratios.outputMean = moved(ratios.outputMean, usage.output / maxTokens);
  }

  /** Returns averages over this process's calls, or over those of others if it has none. Undefined while unknown. */
  learned(model: string): LearnedRatios | undefined {
    const known = this.#all(model).find((ratios) => ratios.inputMean > 0);
    return known && { input: known.inputMean, output: known.outputMean };
  }

  /** Returns what this process has learned. */
  save(): SavedRatios {
    return Object.fromEntries(this.#own);
  }

  /** Continues from what was learned before the process started. */
  resume(saved: readonly SavedRatios[]): void {
    for (const ratios of saved) {
      for (const [model, theirs] of Object.entries(ratios)) {
        const own = this.#own.get(model) ?? fresh();
        this.#own.set(model, own);
        own.inputMean ||= theirs.inputMean;
        own.outputMean ||= theirs.outputMean;
        own.input.forEach((envelope, at) => {
          const other = theirs.input[at]!;
          if (other.before > 0) envelope.before = Math.max(envelope.before, largestOf(other));
          else envelope.largest = Math.max(envelope.largest, other.largest);
        });
      }
    }
  }

  /** Replaces what other processes have learned. */
  replaceOthers(others: readonly SavedRatios[]): void {
    this.#others = others;
  }

  #all(model: string): ModelRatios[] {
    return [
      this.#own.get(model),
      ...this.#others.map((ratios) => (Object.hasOwn(ratios, model) ? ratios[model] : undefined)),
    ].filter((ratios) => ratios !== undefined);
  }
}

/**
 * Returns the factor of the model that counts most, because any of them may get the job.
 * @param ratios absent: only the configured factors apply
 */
export function inputFactor(
  { models }: Pick<Settings, "models">,
  ratios: Pick<TokenRatios, "factor"> | undefined,
  names: readonly string[],
  counted: number,
): number {
  const factors = names.map((name) => {
    const configured = models[name]?.tokenFactor ?? 1;
    return ratios?.factor(name, counted, configured) ?? configured;
  });
  return factors.length === 0 ? 1 : Math.max(...factors);
}

/**
 * Returns the input tokens to reserve for a request: the count of its text times the factor, the most that its images
 * can count, and a guess of its documents. The guess never exceeds what the context leaves, so that it refuses no job.
 * @param counted tokens of the text as Sluice counts them
 */
export function reservedInput(
  settings: Pick<Settings, "models">,
  ratios: Pick<TokenRatios, "factor"> | undefined,
  names: readonly string[],
  request: JobRequest,
  counted: number,
): number {
  const text = Math.ceil(counted * inputFactor(settings, ratios, names, counted));
  const models = names.flatMap((name) => settings.models[name] ?? []);
  const worst = models.flatMap(({ deployments }) => deployments.flatMap(({ traits }) => traits.imageTokens ?? []));
  const { images, documents } = mediaTokens(request, worst.length > 0 ? Math.max(...worst) : undefined);
  const known = text + images;
  if (documents === 0) return known;
  const context = Math.min(...models.map(({ contextTokens }) => contextTokens));
  return known + Math.max(0, Math.min(documents, context - known - request.parameters.maxTokens));
}

/** Returns whether a stored value is usable. */
export function isSavedRatios(value: unknown): value is SavedRatios {
  const isNumber = (n: unknown) => typeof n === "number" && Number.isFinite(n) && n >= 0;
  const isEnvelope = (e: Partial<Envelope> | null) => isNumber(e?.before) && isNumber(e?.largest) && isNumber(e?.calls);
  const isRatios = (r: Partial<ModelRatios> | null) =>
    isNumber(r?.inputMean) &&
    isNumber(r?.outputMean) &&
    r?.input?.length === lengths.length &&
    r.input.every(isEnvelope);
  return typeof value === "object" && value !== null && Object.values(value).every(isRatios);
}

function fresh(): ModelRatios {
  return { input: lengths.map(() => ({ before: 0, largest: 0, calls: 0 })), inputMean: 0, outputMean: 0 };
}

function classOf(counted: number): number {
  return lengths.findIndex((end) => counted < end);
}

function largestOf({ before, largest }: Envelope): number {
  return Math.max(before, largest);
}

function add(envelope: Envelope, ratio: number): void {
  envelope.largest = Math.max(envelope.largest, ratio);
  envelope.calls += 1;
  if (envelope.calls < generation) return;
  envelope.before = envelope.largest;
  envelope.largest = 0;
  envelope.calls = 0;
}

function moved(mean: number, sample: number): number {
  return mean === 0 ? sample : mean + (sample - mean) * inertia;
}
