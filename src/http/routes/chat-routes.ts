// Serves POST /v1/chat/completions: a synchronous job in OpenAI's format.
import Type from "typebox";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import type { QuotaRooms } from "../../jobs/read/quota-room.ts";
import { dryRun } from "../../jobs/submit/dry-run.ts";
import { asksDryRun, dryRunQuery, dryRunResource, sendDryRun } from "../../wire/dry-run-resource.ts";
import { submitErrors } from "../../wire/job-request.ts";
import { ChatChunks } from "../../wire/openai/chat-chunks.ts";
import { chatBody, chatReader, chatTexts } from "../../wire/openai/chat-request.ts";
import { chatCompletionOf } from "../../wire/openai/chat-response.ts";
import { openAiErrorOf } from "../../wire/openai/openai-errors.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { errorResponses } from "../error-responses.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
import { openEventStream, streamJob } from "../synchronous/answer-stream.ts";
import { openAiLimits } from "../synchronous/quota-headers.ts";
import { callErrors, callHeaders, readCallOptions, type SynchronousCall } from "../synchronous/synchronous-call.ts";
import { answerWhole } from "../synchronous/whole-answer.ts";
import { traceOf } from "../trace-headers.ts";
import { answersOf } from "./documentation-routes.ts";

const completion = Type.Unsafe<object>({
  type: "object",
  description: "OpenAI's chat completion object.",
  additionalProperties: true,
});

const chunk = Type.Unsafe<object>({
  type: "object",
  description: "The data of one event: OpenAI's chat completion chunk. The last event is [DONE].",
  additionalProperties: true,
});

/**
 * Adds the routes of chat completions.
 * @param keepAliveMs interval of comments in a stream without text, in milliseconds
 * @param rooms says what is left of the quotas
 */
export function chatRoutes(app: HttpServer, context: CallersContext, keepAliveMs: number, rooms: QuotaRooms): void {
  const { settings } = context;
  const read = chatReader(settings);

  const closing = closingSignal(app);
  const limits = openAiLimits(rooms);

  app.post(
    "/v1/chat/completions",
    {
      config: {
        documented: answersOf("The answer, or its chunks.", [completion, Type.Ref("DryRun#")], chunk),
        keptAsText: chatTexts,
      },
      schema: {
        tags: ["openai"],
        operationId: "createChatCompletion",
        summary: "Create a chat completion",
        description:
          "Follows OpenAI's API. docs/openai.md lists what is supported, ignored or refused. With `dry_run` nothing is stored, and the call returns DryRun; see createJob.",
        headers: callHeaders,
        querystring: dryRunQuery,
        body: chatBody(settings),
        response: {
          200: completion,
          ...errorResponses([...submitErrors, ...callErrors], "OpenAIError"),
        },
      },
      // The request reader checks the body. Batches use the same reader.
      validatorCompiler: compileQueryOnly,
    },
    async (request, reply) => {
      const options = readCallOptions(request, settings, "chat");
      const chat = read(request.body, options);
      const input = { ...chat.input, ...traceOf(request) };
      const { caller } = request;
      reply.header("x-request-id", request.id);
      if (asksDryRun(request.query, chat.dryRun)) {
        return sendDryRun(reply, dryRunResource(await dryRun(context, input, caller), context.clock.wall()));
      }
      const call = { reply, caller, options, input, disconnected: disconnectSignal(reply, closing), closing, limits };
      return chat.stream ? stream(call, chat.includeUsage) : chatCompletionOf(await answerWhole(context, call));
    },
  );

  async function stream(call: SynchronousCall, includeUsage: boolean) {
    const open = openEventStream(context, call.reply, { keepAliveMs }, (job, events) => {
      const chunks = new ChatChunks(job, includeUsage);
      const send = (objects: readonly object[]) => {
        for (const object of objects) events.send(JSON.stringify(object));
      };
      return {
        text: (text) => send(chunks.text(text)),
        end(record) {
          send(chunks.end(record));
          events.send("[DONE]");
        },
        fail: (error) => send([{ error: openAiErrorOf(error) }]),
      };
    });
    await streamJob(context, { ...call, open });
    return call.reply;
  }
}
