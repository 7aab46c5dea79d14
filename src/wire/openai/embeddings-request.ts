// Defines the body of POST /v1/embeddings and of batch lines, and converts it to submit input.
import { createRequire } from "node:module";
import Type, { type Static } from "typebox";
import type { Settings } from "../../config/settings.ts";
import type { EmbeddingInput } from "../../jobs/submit/submit-input.ts";
import { bodyCheck } from "../body-check.ts";
import { submitFields } from "../request-fields.ts";
import type { ChatDefaults } from "./chat-request.ts";
import { extensionFields, ignored, refuse } from "./openai-fields.ts";

/** OpenAI's limits: texts of a request, and tokens of a text. */
const maxTexts = 2048;
const maxTokenIds = 131_072;

export function embeddingsBody(settings: Settings) {
  const { expires_in, metadata, webhook_url, dry_run } = submitFields(settings);
  const { environment, priority, regions, on_unknown } = extensionFields(settings);
  return Type.Object(
    {
      input: Type.Unsafe<unknown>({
        description:
          "The texts: a string, a list of at most 2,048 strings, a list of token ids (cl100k_base), or a list of such lists.",
      }),
      model: Type.String({ description: `One of ${modelsIn(settings).join(", ")}.` }),
      dimensions: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
      encoding_format: Type.Optional(Type.Enum(["float", "base64"], { description: "Default: float." })),
      user: ignored,
      input_type: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 64,
          description: "What the vectors are for, for models that distinguish it. Cohere's default: search_document.",
        }),
      ),
      store: Type.Optional(
        Type.Boolean({ description: "If false, Sluice erases texts and vectors after it has returned the answer." }),
      ),
      ...{ expires_in, metadata, webhook_url, dry_run, environment, priority, regions, on_unknown },
    },
    { additionalProperties: false },
  );
}

/** Returns the models that are known to make embeddings, or a word for them if there is none. */
function modelsIn({ models }: Settings): string[] {
  const known = Object.keys(models).filter((name) => models[name]!.deployments.some(({ traits }) => traits.embeddings));
  return known.length === 0 ? ["the models that make embeddings"] : known;
}

type EmbeddingsBody = Static<ReturnType<typeof embeddingsBody>>;

export interface EmbeddingsRequest {
  input: EmbeddingInput;
  dryRun: boolean;
}

/**
 * Returns a function that reads bodies, including those of batch lines. It throws SluiceError `invalid_request` or
 * `invalid_json`, with the field at fault.
 */
export function embeddingsReader(settings: Settings): (body: unknown, defaults: ChatDefaults) => EmbeddingsRequest {
  const check = bodyCheck(embeddingsBody(settings), { unknownToo: true });
  return (body, defaults) => embeddingsRequestOf(check(body), defaults);
}

function embeddingsRequestOf(body: EmbeddingsBody, defaults: ChatDefaults): EmbeddingsRequest {
  const { dimensions, input_type: inputType } = body;
  return {
    dryRun: body.dry_run ?? false,
    input: {
      environment: body.environment ?? defaults.environment,
      priority: body.priority ?? defaults.priority,
      model: body.model,
      texts: textsIn(body.input),
      embeddings: {
        format: body.encoding_format ?? "float",
        ...(dimensions !== undefined && { dimensions }),
        ...(inputType !== undefined && { inputType }),
      },
      regions: body.regions,
      onUnknown: body.on_unknown,
      expiresInMs: body.expires_in === undefined ? undefined : body.expires_in * 1000,
      metadata: body.metadata,
      webhookUrl: body.webhook_url,
      ephemeral: body.store === false,
    },
  };
}

/**
 * Returns the texts of `input`.
 * @throws SluiceError `invalid_request`
 */
function textsIn(input: unknown): string[] {
  if (typeof input === "string") return [input];
  if (!Array.isArray(input) || input.length === 0) {
    return refuse("input", "input must be a string, or a list of strings or token ids that is not empty.");
  }
  if (typeof input[0] === "number") return [decoded(input, "input")];
  if (input.length > maxTexts) {
    refuse(
      "input",
      `input must have at most ${maxTexts} texts; got ${input.length}. Send the rest in further requests.`,
    );
  }
  return input.map((item: unknown, i) => {
    const field = `input[${i}]`;
    if (typeof item === "string") return item;
    if (Array.isArray(item)) return decoded(item, field);
    return refuse(field, `${field} must be a string or a list of token ids.`);
  });
}

/** Returns the text of token ids. Clients of OpenAI, such as LangChain's, count tokens and send the ids. */
function decoded(ids: readonly unknown[], field: string): string {
  if (ids.length === 0 || ids.length > maxTokenIds) {
    return refuse(field, `${field} must have 1 to ${maxTokenIds} token ids; got ${ids.length}.`);
  }
  const wrong = ids.findIndex((id) => typeof id !== "number" || !Number.isInteger(id) || id < 0);
  if (wrong >= 0) return refuse(`${field}[${wrong}]`, `${field}[${wrong}] must be a token id of cl100k_base.`);
  try {
    return tokenizer().decode(ids as number[]);
  } catch {
    return refuse(field, `${field} must have token ids of cl100k_base only. Send the text instead.`);
  }
}

type Tokenizer = typeof import("gpt-tokenizer/encoding/cl100k_base");
let loaded: Tokenizer | undefined;

/** Loads the tokenizer with the first token ids: it takes 0.2 s and 44 MB, and most callers send texts. */
function tokenizer(): Tokenizer {
  loaded ??= createRequire(import.meta.url)("gpt-tokenizer/cjs/encoding/cl100k_base") as Tokenizer;
  return loaded;
}
