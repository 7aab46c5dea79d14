// Serves /v1/responses: jobs in the format of OpenAI's Responses API, synchronous or in the background.

import Type from "typebox";
import { isEmbedding } from "../../domain/embedding-request.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { isErased, type JobRecord } from "../../domain/job.ts";
import { jsonLine } from "../../domain/json-lines.ts";
import { printJson } from "../../domain/json-text.ts";
import { isNative } from "../../domain/request.ts";
import type { Caller } from "../../jobs/caller.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { cancel } from "../../jobs/control/cancel.ts";
import { deleteResponse } from "../../jobs/control/delete-response.ts";
import type { QuotaRooms } from "../../jobs/read/quota-room.ts";
import { requireJob, viewOf } from "../../jobs/read/view.ts";
import { dryRun } from "../../jobs/submit/dry-run.ts";
import { submitOnce } from "../../jobs/submit/submit.ts";
import { asksDryRun, dryRunQuery, dryRunResource, sendDryRun } from "../../wire/dry-run-resource.ts";
import { submitErrors } from "../../wire/job-request.ts";
import { ignored, refuse } from "../../wire/openai/openai-fields.ts";
import { ResponseEvents } from "../../wire/openai/responses-events.ts";
import { responseBody, responseReader, responseTexts } from "../../wire/openai/responses-request.ts";
import { jobOfResponse, type ResponseObject, responseOf } from "../../wire/openai/responses-response.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { errorResponses } from "../error-responses.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
import { openEventStream, streamJob } from "../synchronous/answer-stream.ts";
import { openAiLimits } from "../synchronous/quota-headers.ts";
import { streamResponse } from "../synchronous/response-stream.ts";
import { callErrors, callHeaders, readCallOptions } from "../synchronous/synchronous-call.ts";
import { answerWhole } from "../synchronous/whole-answer.ts";
import { traceOf } from "../trace-headers.ts";
import { answersOf } from "./documentation-routes.ts";

const params = Type.Object({ response_id: Type.String() });
const followQuery = Type.Object(
  {
    stream: Type.Optional(Type.Boolean({ description: "Default: false." })),
    starting_after: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: "Return only events after the one with this sequence_number. Default: all events.",
      }),
    ),
    // OpenAI's clients write a list in a query like this.
    "include[]": ignored,
    include: ignored,
    include_obfuscation: ignored,
  },
  { additionalProperties: false },
);
const response = Type.Unsafe<ResponseObject>({
  type: "object",
  description: "OpenAI's response object.",
  additionalProperties: true,
});
const event = Type.Object(
  { type: Type.String(), sequence_number: Type.Integer() },
  { description: "The data of one event of OpenAI's response stream.", additionalProperties: true },
);
const deleted = Type.Object({
  id: Type.String(),
  object: Type.Literal("response"),
  deleted: Type.Literal(true),
});

/**
 * Serializes responses without a schema, because they repeat the caller's own schemas. For the serializerCompiler of a
 * route.
 */
const exactly = () => printJson;

/**
 * Adds the routes of responses.
 * @param keepAliveMs interval of comments in a stream without text, in milliseconds
 * @param rooms says what is left of the quotas
 */
export function responseRoutes(app: HttpServer, context: CallersContext, keepAliveMs: number, rooms: QuotaRooms): void {
  const { settings } = context;
  const read = responseReader(settings);
  const closing = closingSignal(app);
  const limits = openAiLimits(rooms);
  const tags = ["openai"];

  app.post(
    "/v1/responses",
    {
      config: {
        documented: answersOf("The response, or its events.", [response, Type.Ref("DryRun#")], event),
        keptAsText: responseTexts,
      },
      serializerCompiler: exactly,
      schema: {
        tags,
        operationId: "createResponse",
        summary: "Create a response, in the foreground or background",
        description:
          "Follows OpenAI's API. docs/openai.md lists what is supported, ignored or refused. With `dry_run` nothing is stored, and the call returns DryRun; see createJob.",
        headers: callHeaders,
        querystring: dryRunQuery,
        body: responseBody(settings),
        response: { 200: response, ...errorResponses([...submitErrors, ...callErrors], "OpenAIError") },
      },
      // The request reader checks the body.
      validatorCompiler: compileQueryOnly,
    },
    async (request, reply) => {
      const { caller } = request;
      const options = readCallOptions(request, settings, "responses");
      const { input: asked, stream, background, dryRun: isDryRun } = read(request.body, options);
      const input = { ...asked, ...traceOf(request) };
      reply.header("x-request-id", request.id);
      if (asksDryRun(request.query, isDryRun)) {
        return sendDryRun(reply, dryRunResource(await dryRun(context, input, caller), context.clock.wall()));
      }
      if (background) {
        const job = await submitOnce(context, input, caller, options.once, { dialect: options.dialect });
        reply.header("x-sluice-job-id", job.id);
        const record = await requireJob(context, job.id, caller, "all");
        if (!stream) {
          eraseOnceRead(context, reply, caller, record);
          return { ...responseOf(record), background };
        }
        const disconnected = disconnectSignal(reply, closing);
        await streamResponse(context, { reply, caller, record, keepAliveMs, disconnected, closing });
        return reply as never;
      }
      const call = { reply, caller, options, input, disconnected: disconnectSignal(reply, closing), closing, limits };
      if (stream) {
        const open = openEventStream(context, reply, { keepAliveMs }, (job, events) => {
          const form = new ResponseEvents(job);
          const send = (objects: readonly { type: string }[]) => {
            for (const object of objects) events.send(jsonLine(object), { event: object.type });
          };
          return {
            text: (text, position) => send(form.text(text, position)),
            end: (record, position) => send(form.end(record, position)),
            fail: (error) => send(form.fail(error)),
          };
        });
        await streamJob(context, { ...call, open });
        return reply as never;
      }
      return { ...responseOf(await answerWhole(context, call)), background };
    },
  );

  app.get(
    "/v1/responses/:response_id",
    {
      config: { documented: answersOf("The response, or its events.", [response], event) },
      serializerCompiler: exactly,
      schema: {
        tags,
        operationId: "getResponse",
        summary: "Get a response, or with ?stream=true its events",
        description:
          "The events are those of a streamed call: first the past ones, then new ones as they occur. `sequence_number` increases, but not always by one. To continue after an interruption, send the last one as `starting_after`.",
        params,
        querystring: followQuery,
        response: {
          200: response,
          ...errorResponses(["invalid_request", "not_found", "conflict", "unavailable"], "OpenAIError"),
        },
      },
    },
    async ({ params, query: { stream = false, starting_after: after }, caller }, reply) => {
      if (after !== undefined && !stream) {
        refuse("starting_after", "starting_after is allowed only in a stream. Set stream to true.");
      }
      const record = await find(params.response_id, caller);
      if (!stream) {
        eraseOnceRead(context, reply, caller, record);
        return responseOf(await viewOf(context, record));
      }
      const disconnected = disconnectSignal(reply, closing);
      await streamResponse(context, { reply, caller, record, after, keepAliveMs, disconnected, closing });
      return reply as never;
    },
  );

  app.post(
    "/v1/responses/:response_id/cancel",
    {
      serializerCompiler: exactly,
      schema: {
        tags,
        operationId: "cancelResponse",
        summary: "Cancel a response that has not ended",
        params,
        response: {
          200: response,
          ...errorResponses(["not_found", "conflict", "unavailable", "fate_unknown"], "OpenAIError"),
        },
      },
    },
    async ({ params, caller }) => {
      const { job } = await find(params.response_id, caller);
      return responseOf(await cancel(context, job.id, caller));
    },
  );

  app.delete(
    "/v1/responses/:response_id",
    {
      schema: {
        tags,
        operationId: "deleteResponse",
        summary: "Delete a response",
        description: "Cancels the response if it has not ended, and erases input and output.",
        params,
        response: { 200: deleted, ...errorResponses(["not_found", "unavailable", "fate_unknown"], "OpenAIError") },
      },
    },
    async ({ params, caller }) => {
      await deleteResponse(context, await find(params.response_id, caller), caller);
      return { id: params.response_id, object: "response" as const, deleted: true as const };
    },
  );

  /**
   * Returns the job of a response.
   * @throws SluiceError `not_found`, also for a deleted response
   */
  async function find(id: string, caller: Caller): Promise<JobRecord> {
    const jobId = jobOfResponse(id);
    const missing = () => new SluiceError("not_found", `There is no response ${quote(id)}.`);
    if (jobId === undefined) throw missing();
    const record = await requireJob(context, jobId, caller, "all").catch((error) => {
      throw error instanceof SluiceError && error.code === "job_not_found" ? missing() : error;
    });
    const { request } = record.job;
    if (isErased(request) || isNative(request) || isEmbedding(request)) throw missing();
    return record;
  }
}
