// Serves the Bedrock Runtime API: calls whose request and answer stay in Bedrock's own format.
import type { FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import { type ErrorCode, SluiceError } from "../../domain/errors.ts";
import type { NativeAnswer, NativeCall } from "../../domain/native-request.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import type { SubmitInput } from "../../jobs/submit/submit-input.ts";
import { frameType } from "../../wire/bedrock/bedrock-frames.ts";
import { submitErrors } from "../../wire/job-request.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { errorResponses } from "../error-responses.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
import { streamJob } from "../synchronous/answer-stream.ts";
import { openFrameStream } from "../synchronous/frame-stream.ts";
import { heldCallHeaders, readHeldCall } from "../synchronous/held-call.ts";
import { callErrors } from "../synchronous/synchronous-call.ts";
import { answerWhole } from "../synchronous/whole-answer.ts";
import { traceOf } from "../trace-headers.ts";

interface Route extends Pick<NativeCall, "operation" | "streamed"> {
  path: string;
  operationId: string;
  summary: string;
}

const routes: readonly Route[] = [
  {
    path: "converse",
    operation: "converse",
    streamed: false,
    operationId: "bedrockConverse",
    summary: "Converse with a model",
  },
  {
    path: "converse-stream",
    operation: "converse",
    streamed: true,
    operationId: "bedrockConverseStream",
    summary: "Converse with a model, and stream the answer",
  },
  {
    path: "invoke",
    operation: "invoke",
    streamed: false,
    operationId: "bedrockInvokeModel",
    summary: "Invoke a model in its own format",
  },
  {
    path: "invoke-with-response-stream",
    operation: "invoke",
    streamed: true,
    operationId: "bedrockInvokeModelWithResponseStream",
    summary: "Invoke a model in its own format, and stream the answer",
  },
];

export const modelParams = Type.Object({
  modelId: Type.String({
    description: "An alias, an ID of a model or an inference profile, or an ARN of one. Percent-encode it.",
  }),
});
/** The body of a route whose config has `verbatim`. */
export const verbatimBody = (description: string) =>
  Type.Unsafe<string>({ type: "object", description, additionalProperties: true });
const answer = Type.Unsafe<object>({ type: "object", description: "Bedrock's answer, byte for byte." });
const errors: ErrorCode[] = [...submitErrors, ...callErrors, "still_waiting"];

/**
 * Adds the routes that call a model.
 * @param keepAliveMs interval of frames in a stream that has nothing to send, in milliseconds
 */
export function bedrockRoutes(app: HttpServer, context: CallersContext, keepAliveMs: number): void {
  const { settings, clock } = context;
  const closing = closingSignal(app);
  for (const { path, operation, streamed, operationId, summary } of routes) {
    app.post(
      `/model/:modelId/${path}`,
      {
        config: { verbatim: true, ...(streamed && { documented: documentedStream }) },
        schema: {
          tags: ["bedrock"],
          operationId,
          summary,
          description:
            "Takes what Bedrock takes and returns what it returns. docs/bedrock.md says how calls wait and what errors mean.",
          params: modelParams,
          headers: heldCallHeaders,
          body: verbatimBody("The operation's body, which is sent byte for byte."),
          response: { 200: answer, ...errorResponses(errors, "BedrockError") },
        },
        onRequest: acceptMissingType,
        // The handler checks headers and body, and Bedrock checks what the body says.
        validatorCompiler: compileQueryOnly,
      },
      async (request, reply) => {
        const { caller, params } = request;
        const call = { streamed, operation: `${path} ${params.modelId}`, now: clock.wall() };
        const options = readHeldCall(request, settings, "bedrock", call);
        const input: SubmitInput = {
          model: params.modelId,
          environment: options.environment,
          priority: options.priority,
          native: { operation, streamed, body: request.body, headers: request.headers },
          ...traceOf(request),
        };
        reply.header("x-amzn-requestid", request.id);
        const disconnected = disconnectSignal(reply, closing);
        const submitted = { reply, caller, options, input, disconnected, closing };
        if (streamed) {
          await streamJob(context, { ...submitted, open: openFrameStream(context, reply, keepAliveMs) });
          return reply as never;
        }
        const { job, outcome } = await answerWhole(context, submitted);
        if (!outcome?.native) throw missingAnswer(job.id);
        return sendNative(reply, outcome.native);
      },
    );
  }
}

const documentedStream = {
  description: "The events, in AWS's event-stream format.",
  content: { [frameType]: { schema: Type.String({ format: "binary" }) } },
};

/** By default, boto3 sends no Content-Type with the body of InvokeModel, and the SDK for JavaScript the one of bytes. */
export function acceptMissingType({ raw }: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  const type = raw.headers["content-type"] ?? octets;
  if (type === octets) raw.headers["content-type"] = "application/json";
  done();
}

const octets = "application/octet-stream";

function missingAnswer(jobId: string): SluiceError {
  return new SluiceError("internal", "The answer is not in Bedrock's format.", { jobId });
}

/** Sends an answer as the provider sent it. */
function sendNative(reply: FastifyReply, { body = "", headers = {} }: NativeAnswer): never {
  reply.headers({ "content-type": "application/json", ...headers });
  return reply.send(Buffer.from(body)) as never;
}
