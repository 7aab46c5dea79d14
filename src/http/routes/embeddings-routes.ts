// Serves POST /v1/embeddings: a synchronous job in OpenAI's format, whose answer is vectors.
import Type from "typebox";
import { isEmbedding } from "../../domain/embedding-request.ts";
import { printJson } from "../../domain/json-text.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import type { QuotaRooms } from "../../jobs/read/quota-room.ts";
import { dryRun } from "../../jobs/submit/dry-run.ts";
import { asksDryRun, dryRunQuery, dryRunResource, sendDryRun } from "../../wire/dry-run-resource.ts";
import { submitErrors } from "../../wire/job-request.ts";
import { embeddingsBody, embeddingsReader } from "../../wire/openai/embeddings-request.ts";
import { embeddingsOf } from "../../wire/openai/embeddings-response.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { errorResponses } from "../error-responses.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
import { openAiLimits } from "../synchronous/quota-headers.ts";
import { callErrors, callHeaders, readCallOptions } from "../synchronous/synchronous-call.ts";
import { answerWhole } from "../synchronous/whole-answer.ts";
import { traceOf } from "../trace-headers.ts";
import { answersOf } from "./documentation-routes.ts";

const list = Type.Unsafe<object>({
  type: "object",
  description: "OpenAI's list of embeddings.",
  additionalProperties: true,
});

/**
 * Adds the route of embeddings.
 * @param rooms says what is left of the quotas
 */
export function embeddingsRoutes(app: HttpServer, context: CallersContext, rooms: QuotaRooms): void {
  const { settings } = context;
  const read = embeddingsReader(settings);
  const closing = closingSignal(app);
  const limits = openAiLimits(rooms);

  app.post(
    "/v1/embeddings",
    {
      config: { documented: answersOf("The vectors.", [list, Type.Ref("DryRun#")]) },
      // Keeps the digits that the provider wrote.
      serializerCompiler: () => printJson,
      schema: {
        tags: ["openai"],
        operationId: "createEmbedding",
        summary: "Create embeddings",
        description:
          "Follows OpenAI's API; see docs/openai.md. A list that the model cannot take in one call becomes several calls of one job. With `dry_run` nothing is stored, and the call returns DryRun; see createJob.",
        headers: callHeaders,
        querystring: dryRunQuery,
        body: embeddingsBody(settings),
        response: { 200: list, ...errorResponses([...submitErrors, ...callErrors], "OpenAIError") },
      },
      // The request reader checks the body. Batches use the same reader.
      validatorCompiler: compileQueryOnly,
    },
    async (request, reply) => {
      const options = readCallOptions(request, settings, "embeddings");
      const asked = read(request.body, options);
      const input = { ...asked.input, ...traceOf(request) };
      const { caller } = request;
      reply.header("x-request-id", request.id);
      if (asksDryRun(request.query, asked.dryRun)) {
        return sendDryRun(reply, dryRunResource(await dryRun(context, input, caller), context.clock.wall()));
      }
      const call = { reply, caller, options, input, disconnected: disconnectSignal(reply, closing), closing, limits };
      const { job, outcome } = await answerWhole(context, call);
      const format = isEmbedding(job.request) ? job.request.embeddings.format : "float";
      return embeddingsOf(job, outcome!, format);
    },
  );
}
