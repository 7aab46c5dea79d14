// POST /v1/chat/completions: a job whose caller holds the line, in OpenAI's words.
import type { FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../../jobs/context.ts";
import { submitOnce } from "../../jobs/submit.ts";
import { waitForEnd } from "../../jobs/wait.ts";
import { errorResponses } from "../errors.ts";
import { goneSignal } from "../gone.ts";
import { onceOf } from "../idempotency.ts";
import { submitErrors } from "../job-request.ts";
import { type ChatRequest, chatBody, chatReader } from "../openai/chat-request.ts";
import { chatCompletionOf } from "../openai/chat-response.ts";
import { failureOf, type Held, heldBy, heldErrors, heldHeaders, letGo, withDeadline } from "../openai/held-job.ts";
import type { HttpServer } from "../types.ts";

export function chatRoutes(app: HttpServer, context: JobsContext): void {
  const { settings } = context;
  const read = chatReader(settings);

  /** Aborted when the server closes, so that those who wait do not hold it up. */
  const closing = new AbortController();
  app.addHook("preClose", async () => closing.abort());

  app.post(
    "/v1/chat/completions",
    {
      schema: {
        tags: ["openai"],
        operationId: "createChatCompletion",
        summary: "Answer a conversation",
        description: "OpenAI's contract; docs/openai.md says what of it is honoured, ignored or refused.",
        headers: heldHeaders,
        body: chatBody(settings),
        response: {
          200: Type.Unsafe<object>({
            type: "object",
            description: "A chat completion as OpenAI has it.",
            additionalProperties: true,
          }),
          ...errorResponses([...submitErrors, ...heldErrors], "OpenAIError"),
        },
      },
      // Checked by the reader, which batches use as well.
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const held = heldBy(request, settings);
      const chat = read(request.body, held);
      const input = withDeadline(chat.input, held, settings);
      return answer(request, reply, { ...chat, input }, held);
    },
  );

  async function answer(request: FastifyRequest, reply: FastifyReply, chat: ChatRequest, held: Held) {
    const { caller } = request;
    const gone = goneSignal(reply);
    const job = await submitOnce(context, chat.input, caller, onceOf(request, "chat"));
    reply.headers({ "x-request-id": request.id, "x-sluice-job-id": job.id });
    const record = await waitForEnd(context, job.id, caller, {
      waitMs: held.waitMs,
      signal: AbortSignal.any([closing.signal, gone]),
    });
    await letGo(context, record, caller, held);
    if (!record.outcome && closing.signal.aborted) throw new SluiceError("unavailable", "The service is stopping.");
    const failure = failureOf(record);
    if (failure) throw failure;
    return chatCompletionOf(record);
  }
}
