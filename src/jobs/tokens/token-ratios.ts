// How many tokens a model's provider counts for each token of ours, learned from the usage that comes back.
//
// Our count is cl100k's, whoever reads the text; the configured `tokenFactor` of a model makes it safe before anything is
// known. What is learned replaces it, per model and for prompts of about the same length (a template of 20 tokens is much
// in a short prompt and nothing in a long one):
//
//   factor = 1.02 x the largest ratio (input that the provider counted / our count) of the last 64 to 127 calls
//
// It holds once 64 calls of a length have been measured; before that, the configured factor or what was seen if that is
// more. A ratio above the factor counts at once. So a reservation is smaller than what the provider counts only for a call
// whose ratio is more than 2 % above that of each of the 64 measured before it; where calls are alike that is less than
// one in 65, whatever their distribution. And it is never larger than 1.02 x the largest of the last 127 asks for. Nothing
// that is reported moves the factor below half of the configured one or above four times it.
//
// Output is not reserved by what is learned: the provider reserves max_tokens, and so do we. The share of it that is
// used is kept to be shown, because a tight max_tokens is what saves most quota.
import type { Settings } from "../../config/settings.ts";
import type { Usage } from "../../domain/job.ts";

/** Where one class of lengths ends, in tokens by our count. */
const lengths = [64, 256, 1024, 4096, Number.POSITIVE_INFINITY] as const;
/** Calls of one generation. Two are kept: the one that grows and the one before it. */
const generation = 64;
export const margin = 1.02;
const [leastOfConfigured, mostOfConfigured] = [0.5, 4];
/** How much one call moves a mean. */
const inertia = 1 / 64;

/** Of prompts of about one length. */
interface Envelope {
  /** The largest ratio of the last full generation; 0 while there is none. */
  before: number;
  /** Of the present one, and how many calls it has. */
  largest: number;
  calls: number;
}

interface ModelRatios {
  /** By class of length. */
  input: Envelope[];
  /** Means: input used per token counted, output used per token of max_tokens. 0 while nothing is known. */
  inputMean: number;
  outputMean: number;
}

/** By model alias. What is saved and shared; it is JSON. */
export type SavedRatios = Record<string, ModelRatios>;

export interface LearnedRatios {
  /** The provider's input tokens per token of ours, on average. */
  input: number;
  /** The share of max_tokens that was used, on average. */
  output: number;
}

export class TokenRatios {
  readonly #own = new Map<string, ModelRatios>();
  #others: readonly SavedRatios[] = [];

  /** What our count of a prompt is to be multiplied with. */
  factor(model: string, counted: number, configured: number): number {
    const at = classOf(counted);
    const envelopes = this.#all(model).map((ratios) => ratios.input[at]!);
    const seen = margin * Math.max(0, ...envelopes.map(largestOf));
    const isKnown = envelopes.some((envelope) => envelope.before > 0);
    const learned = isKnown ? seen : Math.max(configured, seen);
    return Math.min(mostOfConfigured * configured, Math.max(leastOfConfigured * configured, learned));
  }

  /**
   * Learns from a call that ended well.
   * @param counted our count of its prompt
   */
  observe(model: string, counted: number, usage: Usage, maxTokens: number): void {
    const input = usage.input + (usage.cacheRead ?? 0) + (usage.cacheWrite ?? 0);
    // Some providers report nothing, as zero.
    if (counted <= 0 || input <= 0) return;
    const ratios = this.#own.get(model) ?? fresh();
    this.#own.set(model, ratios);
    add(ratios.input[classOf(counted)]!, input / counted);
    ratios.inputMean = moved(ratios.inputMean, input / counted);
    if (maxTokens > 0) ratios.outputMean = moved(ratios.outputMean, usage.output / maxTokens);
  }

  /** Means over what this process has seen, or others if it has seen nothing; undefined while nothing is known. */
  learned(model: string): LearnedRatios | undefined {
    const known = this.#all(model).find((ratios) => ratios.inputMean > 0);
    return known && { input: known.inputMean, output: known.outputMean };
  }

  /** What this process has learned. */
  save(): SavedRatios {
    return Object.fromEntries(this.#own);
  }

  /** Goes on from what was learned before the process started. */
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

  /** Takes note of what other processes have learned, in place of what was noted before. */
  heed(others: readonly SavedRatios[]): void {
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
 * Of the model that makes the most of a text, because the job may go to any of them.
 * @param ratios absent: the configured factors alone
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

/** Whether something that was read can be used. */
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
