// Serves GET /v1/models: the configured models in OpenAI's format, or those of Claude in Anthropic's format.
import type { FastifyReply, FastifyRequest } from "fastify";
import Type, { type Static } from "typebox";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { isAnthropicCall, versionHeader } from "../../wire/anthropic/anthropic-errors.ts";
import {
  claudeModel,
  claudeModelList,
  claudeModelListSchema,
  claudeModelPage,
  claudeModelSchema,
} from "../../wire/anthropic/claude-model-resource.ts";
import { errorResponses } from "../error-responses.ts";
import { noQuery } from "../hooks/query-strings.ts";
import type { HttpServer } from "../http-types.ts";
import { answersOf } from "./documentation-routes.ts";

const model = Type.Object({
  id: Type.String({ description: "The alias to use as `model`." }),
  object: Type.Literal("model"),
  created: Type.Integer({ description: "When this process started, in Unix time in seconds." }),
  owned_by: Type.String({ description: "The provider of the model's first deployment." }),
});

const list = Type.Object({ object: Type.Literal("list"), data: Type.Array(model) });

const headers = Type.Object({
  [versionHeader]: Type.Optional(
    Type.String({ description: "Asks for Anthropic's format, and for the models that take messages." }),
  ),
});

export function modelRoutes(app: HttpServer, { settings, clock }: JobsContext): void {
  const created = Math.floor(clock.wall() / 1000);
  const tags = ["openai"];

  function modelOf(id: string): Static<typeof model> {
    return { id, object: "model", created, owned_by: settings.models[id]!.deployments[0]!.provider };
  }

  app.get(
    "/v1/models",
    {
      config: { documented: answersOf("The models.", [list, claudeModelListSchema]) },
      schema: {
        tags,
        operationId: "listModels",
        summary: "List the models",
        description: "With `anthropic-version` in Anthropic's format, as are errors. Only then may it be paged.",
        headers,
        querystring: claudeModelPage,
        response: { 200: list, ...errorResponses(["invalid_request"], "OpenAIError") },
      },
    },
    async (request, reply) => {
      const { query } = request;
      if (isAnthropicCall(request)) return sendAsText(request, reply, claudeModelList(settings, query));
      const [parameter] = Object.keys(query);
      if (parameter === undefined) return { object: "list" as const, data: Object.keys(settings.models).map(modelOf) };
      throw new SluiceError("invalid_request", `${parameter} is allowed only with the header ${versionHeader}.`, {
        field: parameter,
      });
    },
  );

  const sendModel = (id: string, request: FastifyRequest, reply: FastifyReply) => {
    if (isAnthropicCall(request)) return sendAsText(request, reply, claudeModel(settings, id));
    if (Object.hasOwn(settings.models, id)) return modelOf(id);
    throw new SluiceError("unknown_model", `There is no model ${quote(id)}.`, { field: "model" });
  };

  app.get(
    "/v1/models/:model",
    {
      config: { documented: answersOf("The model.", [model, claudeModelSchema]) },
      schema: {
        tags,
        operationId: "getModel",
        summary: "Get a model",
        description: "A slash in the alias need not be escaped. With `anthropic-version` in Anthropic's format.",
        params: Type.Object({ model: Type.String({ description: "The alias of the model." }) }),
        headers,
        response: { 200: model, ...errorResponses(["unknown_model"], "OpenAIError") },
      },
    },
    async (request, reply) => sendModel(request.params.model, request, reply),
  );

  // OpenAI's clients do not escape the alias in the path, and it may contain slashes.
  app.get(
    "/v1/models/*",
    { schema: { hide: true, querystring: noQuery, params: Type.Object({ "*": Type.String() }) } },
    async (request, reply) => sendModel(request.params["*"], request, reply),
  );
}

/** Sends an object that the schema of the response does not describe. */
function sendAsText({ id }: FastifyRequest, reply: FastifyReply, value: object): never {
  return reply.header("request-id", id).type("application/json; charset=utf-8").send(JSON.stringify(value)) as never;
}
