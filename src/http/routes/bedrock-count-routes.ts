// Serves CountTokens of the Bedrock Runtime API. Sluice counts by itself, for every model, and calls no provider.
import Type from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { countNative } from "../../jobs/submit/count-native.ts";
import { readCountedCall } from "../../wire/bedrock/counted-call.ts";
import { errorResponses } from "../error-responses.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
import { acceptMissingType, modelParams, verbatimBody } from "./bedrock-routes.ts";

export function bedrockCountRoutes(app: HttpServer, context: JobsContext): void {
  app.post(
    "/model/:modelId/count-tokens",
    {
      config: { verbatim: true },
      schema: {
        tags: ["bedrock"],
        operationId: "bedrockCountTokens",
        summary: "Count the input tokens of a request",
        description:
          "Returns Sluice's own count for any model, corrected by what the provider has reported so far. Bedrock's count may differ. Calls no provider.",
        params: modelParams,
        body: verbatimBody("`input.converse`, or `input.invokeModel.body` in base64."),
        response: {
          200: Type.Object({ inputTokens: Type.Integer() }),
          ...errorResponses(
            ["invalid_request", "invalid_json", "unknown_model", "too_large", "unsupported_media_type", "unavailable"],
            "BedrockError",
          ),
        },
      },
      onRequest: acceptMissingType,
      validatorCompiler: compileQueryOnly,
    },
    async ({ body, params, id }, reply) => {
      reply.header("x-amzn-requestid", id);
      const native = readCountedCall(body);
      try {
        return { inputTokens: await countNative(context, { model: params.modelId, native }) };
      } catch (error) {
        // The body that was read is a part of the one that was sent.
        const isJson = error instanceof SluiceError && error.code === "invalid_json";
        throw isJson ? new SluiceError("invalid_request", `input.invokeModel.body: ${error.message}`) : error;
      }
    },
  );
}
