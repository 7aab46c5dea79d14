// Native requests in POST /v1/jobs, and native requests and answers in the resources of a job.
import Type, { type Static } from "typebox";
import { quote, SluiceError } from "../domain/errors.ts";
import type { Job, Outcome } from "../domain/job.ts";
import { JsonText } from "../domain/json-text.ts";
import { isNative } from "../domain/request.ts";
import { nativeHeaders } from "../jobs/submit/native-headers.ts";
import type { NativeInput } from "../jobs/submit/submit-input.ts";
import { nullable } from "./resource-types.ts";

const operation = Type.Enum(["converse", "invoke"], { description: "The operation of the Bedrock Runtime API." });
const headers = Type.Record(Type.String(), Type.String());

export const nativeField = Type.Optional(
  Type.Object(
    {
      operation,
      body: Type.Unsafe<object>({
        type: "object",
        description: "The body in Bedrock's own format. It is stored and sent byte for byte.",
      }),
      stream: Type.Optional(
        Type.Boolean({ description: "Whether to call the streaming form of the operation. Default: false." }),
      ),
      headers: Type.Optional(
        Type.Unsafe<Record<string, string>>({
          type: "object",
          additionalProperties: { type: "string" },
          maxProperties: 16,
          description: `Headers to send: ${nativeHeaders.join(", ")}.`,
        }),
      ),
    },
    {
      additionalProperties: false,
      description:
        "A request in Bedrock's own format, in place of prompt and messages. `model` is then an alias, or Bedrock's ID or ARN of a model or an inference profile. See docs/native.md.",
    },
  ),
);

/** Places of POST /v1/jobs whose text is kept in any case. */
export const nativeTexts = ["native.body"];

/**
 * Converts the field to input.
 * @param body the field, whose own `body` is a JsonText
 * @throws SluiceError `invalid_request` for a header that is never sent, or a body that is a list
 */
export function nativeInputOf(body: NonNullable<Static<typeof nativeField>>): NativeInput["native"] {
  const { operation, stream = false, headers } = body;
  for (const name of Object.keys(headers ?? {})) {
    if ((nativeHeaders as readonly string[]).includes(name.toLowerCase())) continue;
    const message = `native.headers must have only ${nativeHeaders.join(", ")}; got ${quote(name)}.`;
    throw new SluiceError("invalid_request", message, { field: "native.headers" });
  }
  const { text } = body.body as JsonText;
  if (!text.startsWith("{")) {
    throw new SluiceError("invalid_request", "native.body must be an object.", { field: "native.body" });
  }
  return { operation, streamed: stream, body: text, ...(headers && { headers }) };
}

/** The schema of a native request, as `GET /v1/jobs/{id}/request` shows it. */
export const nativeRequestSchema = Type.Object({
  operation,
  stream: Type.Boolean(),
  body: Type.Unsafe<object>({ type: "object", description: "The body that is sent, byte for byte." }),
  headers: nullable(headers),
});

/** Returns the native request of a job. Print it with `printJson`. Null for another request, and once it is erased. */
export function nativeRequestResource({ request }: Job): Static<typeof nativeRequestSchema> | null {
  if (!isNative(request) || request.native.body === "") return null;
  const { operation, streamed, body, headers = null } = request.native;
  return { operation, stream: streamed, body: new JsonText(body), headers };
}

/** The schema of a native answer, as `GET /v1/jobs/{id}` shows it. */
export const nativeAnswerSchema = Type.Object({
  operation,
  stream: Type.Boolean(),
  base_model: nullable(Type.String({ description: "The foundation model that must answer." })),
  body: nullable(
    Type.String({ description: "The body of the answer, verbatim. Null if there is none, or it was streamed." }),
  ),
  events: nullable(
    Type.String({
      description: "The events of a streamed answer: one line each, the JSON of [event type, payload as text].",
    }),
  ),
  headers: nullable(headers),
});

/** Returns what a native job asked for and its raw answer. Null for another job. */
export function nativeAnswerResource(
  { request, baseModel }: Job,
  outcome: Pick<Outcome, "native"> | undefined,
): Static<typeof nativeAnswerSchema> | null {
  if (!isNative(request)) return null;
  const { operation, streamed } = request.native;
  const { body = null, events = null, headers = null } = outcome?.native ?? {};
  return { operation, stream: streamed, base_model: baseModel ?? null, body, events, headers };
}
