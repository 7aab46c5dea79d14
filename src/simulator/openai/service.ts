// OpenAI's API, as far as Ollama, vLLM and others also speak it: chat completions, embeddings and the list of models. Uses the same
// models, quotas, faults and journal as Bedrock Runtime. Requires no key and accepts any.

import { BedrockError } from "../aws-errors.ts";
import type { ModelCall } from "../bodies.ts";
import { answerCall, type CallContext, chooseFault, closeCall, orError, refuse, within } from "../call.ts";
import type { Dialect } from "../dialects.ts";
import type { Exchange } from "../exchange.ts";
import type { Json } from "../json.ts";
import type { ResolvedOptions } from "../options.ts";
import type { Delivered } from "../simulated-answer.ts";
import { type CalledModel, findModel, knownModels, type Operation } from "../simulated-models.ts";
import type { Route, Service } from "../simulator-server.ts";
import { parseBody, readChat } from "./body.ts";
import { noModel, OpenAiError } from "./openai-error-bodies.ts";
import { rateLimited, rateLimitHeaders } from "./openai-rate-limits.ts";
import { type ChatOptions, chatDialect, openAiWire } from "./simulated-chat.ts";
import { readEmbeddings } from "./simulated-embeddings.ts";

/**
 * Serves POST /v1/chat/completions and /v1/embeddings, GET /v1/models and /v1/models/{id}. Any other path below /v1 is an OpenAI error.
 */
export function openAiService(context: CallContext): Service {
  return ({ method, path }) => {
    if (!path.startsWith("/v1/")) return undefined;
    if (method === "POST" && path === "/v1/chat/completions") return (exchange) => complete(context, exchange, chats);
    if (method === "POST" && path === "/v1/embeddings") return (exchange) => complete(context, exchange, embeddings);
    if (method === "GET" && path === "/v1/models") return listModels(context);
    if (method === "GET" && path.startsWith("/v1/models/")) return showModel(context, path.slice("/v1/models/".length));
    return async (exchange) => {
      const error = new OpenAiError(404, `Invalid URL (${method} ${path.slice(0, 200)})`);
      openAiWire.sendError(exchange, error, "");
    };
  };
}

/** One of the API's calls: how its body is read, and how its answer is formatted. */
interface Form {
  operation: Operation;
  read(body: Json, model: CalledModel): ModelCall & { streaming: boolean; dialect: (shell: Shell) => Dialect };
}

/** What an answer says of itself. */
type Shell = Omit<ChatOptions, "streamUsage">;

const chats: Form = {
  operation: "ChatCompletions",
  read(body, model) {
    const { streamUsage, ...call } = readChat(body, model);
    if (call.streaming && !model.streaming) {
      throw new OpenAiError(400, "This model does not support streaming.", {
        param: "stream",
        code: "unsupported_value",
      });
    }
    return { ...call, dialect: (shell) => chatDialect({ ...shell, streamUsage }) };
  },
};

const embeddings: Form = {
  operation: "Embeddings",
  read(body) {
    const { dialect, ...call } = readEmbeddings(body);
    return { ...call, streaming: false, dialect: () => dialect };
  },
};

async function complete(context: CallContext, exchange: Exchange, form: Form): Promise<void> {
  const { options, journal, random } = context;
  const read = await orError(() => receive(exchange, options, form));
  const jitterMs = random() * options.jitterMs;
  const latencyMs = within(options.latencyMs, random());
  await exchange.sleep(jitterMs);
  const valid = read instanceof BedrockError ? undefined : read;
  const call = journal.open({
    operation: form.operation,
    modelId: valid?.model.id ?? "",
    arrivedAt: options.clock.now(),
    prompt: valid?.prompt ?? "",
    inputTokens: valid?.inputTokens ?? 0,
    maxTokens: valid?.maxTokens ?? 0,
  });
  let delivered: Delivered = { broken: false };
  try {
    if (exchange.disconnected) return;
    if (read instanceof BedrockError) {
      refuse(openAiWire, call, exchange, read);
      return;
    }
    const { model, inputTokens, maxTokens } = read;
    const created = Math.floor(options.clock.wall() / 1_000);
    const cost = { modelId: model.id, input: inputTokens, maxTokens };
    const running = {
      ...read,
      exchange,
      call,
      caller: {},
      latencyMs,
      wire: openAiWire,
      dialect: read.dialect({ requestId: call.requestId, modelId: model.id, created }),
      throttle: (quota, engine) => rateLimited(quota, engine, cost, call.arrivedAt),
      quotaHeaders: (engine) => rateLimitHeaders(engine, call.arrivedAt),
    } satisfies Parameters<typeof chooseFault>[1];
    const fault = chooseFault(context, running);
    if (fault !== "refused") delivered = await answerCall(context, running, fault);
  } finally {
    closeCall(call, exchange, delivered, options.clock.now());
  }
}

async function receive(
  exchange: Exchange,
  options: ResolvedOptions,
  form: Form,
): Promise<ReturnType<Form["read"]> & { model: CalledModel }> {
  const text = await exchange.readBody();
  const body = parseBody(text.toString());
  const model = findModel(body.model, options.models);
  if (!model) throw noModel(body.model);
  return { ...form.read(body, model), model };
}

// ---------------------------------------------------------------- models

function listModels({ options }: CallContext): Route {
  return async (exchange) => {
    const data = knownModels(options.models).map(modelObject);
    exchange.send(200, { "content-type": "application/json" }, JSON.stringify({ object: "list", data }));
  };
}

function showModel({ options }: CallContext, encodedId: string): Route {
  return async (exchange) => {
    const id = decode(encodedId);
    if (id === undefined || !findModel(id, options.models)) {
      openAiWire.sendError(exchange, noModel(id ?? encodedId), "");
    } else {
      exchange.send(200, { "content-type": "application/json" }, JSON.stringify(modelObject(id)));
    }
  };
}

function modelObject(id: string) {
  return { id, object: "model", created: 0, owned_by: "simulator" };
}

function decode(encodedId: string): string | undefined {
  try {
    return decodeURIComponent(encodedId);
  } catch {
    return undefined;
  }
}
