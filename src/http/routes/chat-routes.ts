// Serves POST /v1/chat/completions: a synchronous job in OpenAI's format.
import type { FastifyReply } from "fastify";
import Type from "typebox";
import type { Caller } from "../../jobs/caller.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { waitForEnd } from "../../jobs/read/wait.ts";
import { dryRun } from "../../jobs/submit/dry-run.ts";
import { asksDryRun, dryRunQuery, dryRunResource, sendDryRun } from "../../wire/dry-run-resource.ts";
import { submitErrors } from "../../wire/job-request.ts";
import { ChatChunks } from "../../wire/openai/chat-chunks.ts";
import { type ChatRequest, chatBody, chatReader, chatTexts } from "../../wire/openai/chat-request.ts";
import { chatCompletionOf } from "../../wire/openai/chat-response.ts";
import { openAiErrorOf } from "../../wire/openai/openai-errors.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { errorResponses } from "../error-responses.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
import { streamJob } from "../synchronous/answer-stream.ts";
import {
  type CallOptions,
  callErrors,
  callHeaders,
  failureOf,
  readCallOptions,
  submitCall,
  whileCallerWaits,
} from "../synchronous/synchronous-call.ts";
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

interface Call extends ChatRequest {
  options: CallOptions;
}

/**
 * Adds the routes of chat completions.
 * @param keepAliveMs interval of comments in a stream without text, in milliseconds
 */
export function chatRoutes(app: HttpServer, context: CallersContext, keepAliveMs: number): void {
  const { settings } = context;
  const read = chatReader(settings);

  const closing = closingSignal(app);

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
      const call = { ...chat, input: { ...chat.input, ...traceOf(request) }, options };
      const { caller } = request;
      reply.header("x-request-id", request.id);
      if (asksDryRun(request.query, chat.dryRun)) {
        return sendDryRun(reply, dryRunResource(await dryRun(context, call.input, caller), context.clock.wall()));
      }
      const disconnected = disconnectSignal(reply, closing);
      return chat.stream ? stream(call, caller, reply, disconnected) : answer(call, caller, reply, disconnected);
    },
  );

  async function answer({ input, options }: Call, caller: Caller, reply: FastifyReply, disconnected: AbortSignal) {
    const submitted = await submitCall(context, input, caller, options, { streamed: false });
    const { job } = submitted;
    reply.header("x-sluice-job-id", job.id);
    const record = await whileCallerWaits(context, submitted, options, () =>
      waitForEnd(context, job.id, caller, { waitMs: options.waitMs, signal: disconnected }),
    );
    eraseOnceRead(context, reply, caller, record);
    const failure = failureOf(record, closing);
    if (failure) throw failure;
    return chatCompletionOf(record);
  }

  async function stream(call: Call, caller: Caller, reply: FastifyReply, disconnected: AbortSignal) {
    const { input, options, includeUsage } = call;
    await streamJob(context, {
      ...{ reply, caller, options, keepAliveMs, disconnected, closing },
      submit: (onNew) => submitCall(context, input, caller, options, { streamed: true, onNew }),
      form(job, events) {
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
      },
    });
    return reply;
  }
}
