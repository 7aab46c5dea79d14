// InvokeModel: chooses the format of body and answer by the model's family.
import { BedrockError, invalid } from "./aws-errors.ts";
import type { ModelCall } from "./bodies.ts";
import { readClaude, readNova } from "./claude-bodies.ts";
import { readDeepSeek, readLlama } from "./completion-bodies.ts";
import type { Dialect } from "./dialects.ts";
import { readEmbedding } from "./embeddings.ts";
import { claude, deepSeek, invoked, llama, nova } from "./native-dialects.ts";
import { parseNative } from "./native-fields.ts";
import { readChat } from "./openai/body.ts";
import { chatDialect } from "./openai/simulated-chat.ts";
import { bareModelId, type CalledModel } from "./simulated-models.ts";

/** A call of InvokeModel. */
export interface NativeBody extends ModelCall {
  dialect: Dialect;
}

/**
 * Reads the body of InvokeModel.
 * @param now seconds since the epoch
 * @throws BedrockError with Bedrock's refusal
 */
export function readNative(body: string, model: CalledModel, streaming: boolean, now: number): NativeBody {
  if (model.embedding) {
    const { call, dialect } = readEmbedding(body, model);
    return { ...call, dialect: invoked(dialect) };
  }
  const id = bareModelId(model.id);
  const starts = (...prefixes: string[]) => prefixes.some((prefix) => id.startsWith(prefix));
  if (starts("meta.llama")) return { ...readLlama(body, model), dialect: invoked(llama) };
  if (starts("deepseek.r1")) return { ...readDeepSeek(body, model), dialect: invoked(deepSeek) };
  if (starts("anthropic.")) return { ...readClaude(body, model, streaming), dialect: invoked(claude(id)) };
  if (starts("amazon.nova")) return { ...readNova(body, model, streaming), dialect: invoked(nova) };
  if (starts("openai.", "mistral.", "deepseek.", "qwen.")) return readOpenAi(body, model, now);
  throw invalid(
    "The simulator reads InvokeModel bodies of Claude, Nova, Llama, DeepSeek, Mistral, Qwen and gpt-oss, and of the " +
      "embeddings of Titan and Cohere. Call this model with Converse.",
  );
}

function readOpenAi(body: string, model: CalledModel, created: number): NativeBody {
  const { streaming: _, streamUsage: _usage, ...call } = asBedrock(() => readChat(parseNative(body), model));
  const chat = chatDialect({ requestId: "synthetic", modelId: model.id, created, streamUsage: true });
  const ending: Dialect["ending"] = (...answer) => chat.ending(...answer).filter(({ type }) => type !== "done");
  return { ...call, dialect: invoked({ ...chat, ending }) };
}

/** Runs a step of OpenAI's API. Its refusals become Bedrock's. */
function asBedrock<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw error instanceof BedrockError ? invalid(error.message) : error;
  }
}
