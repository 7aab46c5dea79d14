// Serves GET /v1/models: the configured models in OpenAI's format.
import Type, { type Static } from "typebox";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { errorResponses } from "../error-responses.ts";
import { noQuery } from "../hooks/query-strings.ts";
import type { HttpServer } from "../http-types.ts";

const model = Type.Object({
  id: Type.String({ description: "The alias to use as `model`." }),
  object: Type.Literal("model"),
  created: Type.Integer({ description: "When this process started, in Unix time in seconds." }),
  owned_by: Type.String({ description: "The provider of the model's first deployment." }),
});

const list = Type.Object({ object: Type.Literal("list"), data: Type.Array(model) });

export function modelRoutes(app: HttpServer, { settings, clock }: JobsContext): void {
  const created = Math.floor(clock.wall() / 1000);
  const tags = ["openai"];

  function modelOf(id: string): Static<typeof model> {
    return { id, object: "model", created, owned_by: settings.models[id]!.deployments[0]!.provider };
  }

  app.get(
    "/v1/models",
    {
      schema: {
        tags,
        operationId: "listModels",
        summary: "List the models",
        response: { 200: list, ...errorResponses([], "OpenAIError") },
      },
    },
    async () => ({ object: "list" as const, data: Object.keys(settings.models).map(modelOf) }),
  );

  const requireModel = (id: string) => {
    if (Object.hasOwn(settings.models, id)) return modelOf(id);
    throw new SluiceError("unknown_model", `There is no model ${quote(id)}.`, { field: "model" });
  };

  app.get(
    "/v1/models/:model",
    {
      schema: {
        tags,
        operationId: "getModel",
        summary: "Get a model",
        description: "A slash in the alias need not be escaped.",
        params: Type.Object({ model: Type.String({ description: "The alias of the model." }) }),
        response: { 200: model, ...errorResponses(["unknown_model"], "OpenAIError") },
      },
    },
    async ({ params }) => requireModel(params.model),
  );

  // OpenAI's clients do not escape the alias in the path, and it may contain slashes.
  app.get(
    "/v1/models/*",
    { schema: { hide: true, querystring: noQuery, params: Type.Object({ "*": Type.String() }) } },
    async ({ params }) => requireModel(params["*"]),
  );
}
