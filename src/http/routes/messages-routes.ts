// Serves Anthropic's Messages API: a message becomes a native call of InvokeModel, whose answer is Anthropic's own.
import type { FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import type { QuotaRooms } from "../../jobs/read/quota-room.ts";
import { countNative } from "../../jobs/submit/count-native.ts";
import type { NativeInput } from "../../jobs/submit/submit-input.ts";
import { anthropicErrorOf } from "../../wire/anthropic/anthropic-errors.ts";
import { claudeModelOf } from "../../wire/anthropic/claude-models.ts";
import { messageEventsOf, pingEvent } from "../../wire/anthropic/message-events.ts";
import { type MessageRequest, readMessage } from "../../wire/anthropic/message-request.ts";
import { submitErrors } from "../../wire/job-request.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { errorResponses } from "../error-responses.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
import { openEventStream, streamJob } from "../synchronous/answer-stream.ts";
import { anthropicLimits } from "../synchronous/quota-headers.ts";
import { callErrors, callHeaders, readCallOptions, type SynchronousCall } from "../synchronous/synchronous-call.ts";
import { answerWhole } from "../synchronous/whole-answer.ts";
import { traceOf } from "../trace-headers.ts";
import { verbatimBody } from "./bedrock-routes.ts";
import { answersOf } from "./documentation-routes.ts";

const message = Type.Unsafe<object>({
  type: "object",
  description: "The model's message, byte for byte as Bedrock sent it.",
  additionalProperties: true,
});

const event = Type.Unsafe<object>({
  type: "object",
  description: "The data of one event of the model, such as message_start. While nothing arrives, there are pings.",
  additionalProperties: true,
});

/** What Anthropic's SDKs add to the path for features in beta. */
const query = Type.Object(
  { beta: Type.Optional(Type.String({ description: "Ignored. The header anthropic-beta names the features." })) },
  { additionalProperties: false },
);

const headers = Type.Object({
  ...callHeaders.properties,
  "anthropic-beta": Type.Optional(
    Type.String({ description: "Features in beta, separated by commas. The body's `anthropic_beta` gets them." }),
  ),
});

/**
 * Adds the routes of messages.
 * @param keepAliveMs interval of pings in a stream that has nothing to send, in milliseconds
 * @param rooms says what is left of the quotas
 */
export function messagesRoutes(app: HttpServer, context: CallersContext, keepAliveMs: number, rooms: QuotaRooms): void {
  const { settings } = context;
  const closing = closingSignal(app);
  const limits = anthropicLimits(rooms, context.clock);
  const tags = ["anthropic"];

  app.post(
    "/v1/messages",
    {
      config: { verbatim: true, documented: answersOf("The message, or its events.", [message], event) },
      schema: {
        tags,
        operationId: "createMessage",
        summary: "Create a message",
        description:
          "Takes what Anthropic's API takes and returns what Claude returns on Bedrock. docs/anthropic.md says what is changed in the request.",
        headers,
        querystring: query,
        body: verbatimBody("Anthropic's request. Fields that Sluice does not know are sent as well."),
        response: { 200: message, ...errorResponses([...submitErrors, ...callErrors], "AnthropicError") },
      },
      // The handler checks headers and body, and Bedrock checks what the body says.
      validatorCompiler: compileQueryOnly,
    },
    async (request, reply) => {
      reply.header("request-id", request.id);
      const options = readCallOptions(request, settings, "anthropic");
      const asked = readMessage(request.body);
      const { caller } = request;
      const input = {
        model: claudeModelOf(settings, asked.model),
        environment: options.environment,
        priority: options.priority,
        native: nativeOf(asked, request),
        ...traceOf(request),
      };
      const call = { reply, caller, options, input, disconnected: disconnectSignal(reply, closing), closing, limits };
      return asked.streamed ? stream(call, request.id) : sendMessage(call);
    },
  );

  app.post(
    "/v1/messages/count_tokens",
    {
      config: { verbatim: true },
      schema: {
        tags,
        operationId: "countMessageTokens",
        summary: "Count the input tokens of a message",
        description:
          "Returns Sluice's own count, corrected by what the provider has reported so far. Claude's count may differ. Calls no provider.",
        querystring: query,
        body: verbatimBody("Anthropic's request."),
        response: {
          200: Type.Object({ input_tokens: Type.Integer() }),
          ...errorResponses(
            ["invalid_request", "invalid_json", "unknown_model", "too_large", "unsupported_media_type", "unavailable"],
            "AnthropicError",
          ),
        },
      },
      validatorCompiler: compileQueryOnly,
    },
    async (request, reply) => {
      reply.header("request-id", request.id);
      const asked = readMessage(request.body);
      const model = claudeModelOf(settings, asked.model);
      return { input_tokens: await countNative(context, { model, native: nativeOf(asked, request) }) };
    },
  );

  async function sendMessage(call: SynchronousCall) {
    const { job, outcome } = await answerWhole(context, call);
    const body = outcome?.native?.body;
    if (body === undefined) throw new SluiceError("internal", "The answer is not a message.", { jobId: job.id });
    return call.reply.type("application/json").send(Buffer.from(body)) as never;
  }

  async function stream(call: SynchronousCall, requestId: string): Promise<FastifyReply> {
    const keepAlive = { keepAliveMs, keepAliveEvent: pingEvent };
    const open = openEventStream(context, call.reply, keepAlive, (_job, events) => ({
      text(lines) {
        for (const { event, data } of messageEventsOf(lines)) events.send(data, { event });
      },
      // The whole answer was sent. An answer without events still has headers.
      end: () => events.open(),
      fail: (error) => events.send(JSON.stringify(anthropicErrorOf(error, requestId)), { event: "error" }),
    }));
    await streamJob(context, { ...call, open });
    return call.reply as never;
  }
}

function nativeOf(
  { streamed, body }: MessageRequest,
  { headers }: Pick<FastifyRequest, "headers">,
): NativeInput["native"] {
  return { operation: "invoke", streamed, body, headers };
}
