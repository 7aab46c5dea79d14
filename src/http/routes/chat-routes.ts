// Serves POST /v1/chat/completions: a synchronous job in OpenAI's format.
import type { FastifyReply } from "fastify";
import Type from "typebox";
import type { Caller } from "../../jobs/caller.ts";
import type { HeldContext } from "../../jobs/callers/waiting-callers.ts";
import { waitForEnd } from "../../jobs/read/wait.ts";
import { dryRun } from "../../jobs/submit/dry-run.ts";
import { asksDryRun, dryRunQuery, dryRunResource, sendDryRun } from "../../wire/dry-run-resource.ts";
import { submitErrors } from "../../wire/job-request.ts";
import { ChatChunks } from "../../wire/openai/chat-chunks.ts";
import { type ChatRequest, chatBody, chatReader, chatTexts } from "../../wire/openai/chat-request.ts";
import { chatCompletionOf } from "../../wire/openai/chat-response.ts";
import { openAiErrorOf } from "../../wire/openai/openai-errors.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { errorResponses } from "../error-responses.ts";
import { failureOf, type Held, heldBy, heldErrors, heldHeaders, submitHeld, whileHeld } from "../held/held-job.ts";
import { streamJob } from "../held/held-stream.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
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
  held: Held;
}

/**
 * Adds the routes of chat completions.
 * @param keepAliveMs interval of comments in a stream without text, in milliseconds
 */
export function chatRoutes(app: HttpServer, context: HeldContext, keepAliveMs: number): void {
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
        headers: heldHeaders,
        querystring: dryRunQuery,
        body: chatBody(settings),
        response: {
          200: completion,
          ...errorResponses([...submitErrors, ...heldErrors], "OpenAIError"),
        },
      },
      // The request reader checks the body. Batches use the same reader.
      validatorCompiler: compileQueryOnly,
    },
    async (request, reply) => {
      const held = heldBy(request, settings, "chat");
      const chat = read(request.body, held);
      const call = { ...chat, held };
      const { caller } = request;
      reply.header("x-request-id", request.id);
      if (asksDryRun(request.query, chat.dryRun)) {
        return sendDryRun(reply, dryRunResource(await dryRun(context, call.input, caller), context.clock.wall()));
      }
      const disconnected = disconnectSignal(reply, closing);
      return chat.stream ? stream(call, caller, reply, disconnected) : answer(call, caller, reply, disconnected);
    },
  );

  async function answer({ input, held }: Call, caller: Caller, reply: FastifyReply, disconnected: AbortSignal) {
    const submitted = await submitHeld(context, input, caller, held, { streamed: false });
    const { job } = submitted;
    reply.header("x-sluice-job-id", job.id);
    const record = await whileHeld(context, submitted, held, () =>
      waitForEnd(context, job.id, caller, { waitMs: held.waitMs, signal: disconnected }),
    );
    const failure = failureOf(record, closing);
    if (failure) throw failure;
    return chatCompletionOf(record);
  }

  async function stream(call: Call, caller: Caller, reply: FastifyReply, disconnected: AbortSignal) {
    const { input, held, includeUsage } = call;
    await streamJob(context, {
      ...{ reply, caller, held, keepAliveMs, disconnected, closing },
      submit: (onNew) => submitHeld(context, input, caller, held, { streamed: true, onNew }),
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
