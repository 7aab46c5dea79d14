// Converts the body of a message to the body that Bedrock takes for a Claude model. It edits the text, so all other
// bytes stay as they are: unknown fields, large numbers, spaces, the order of keys.
import { quote, SluiceError } from "../../domain/errors.ts";
import { withFirstMember, withoutMembers } from "../../domain/json-edit.ts";
import { parsedBody } from "../../jobs/submit/build-native.ts";

/** A message as a call of InvokeModel. */
export interface MessageRequest {
  /** The model as the caller wrote it. */
  model: string;
  /** Whether the answer is a stream. */
  streamed: boolean;
  /** The body of InvokeModel. */
  body: string;
}

/** Fields of a message that Bedrock has in the path instead. */
const elsewhere = ["model", "stream"];
/** The only version that Bedrock accepts. It requires one. */
const version = "bedrock-2023-05-31";

/**
 * Reads a message. Removes `model` and `stream` from the body, and inserts `anthropic_version` as its first field if it
 * is missing.
 * @throws SluiceError as `parsedBody`, and `invalid_request` for a `model` or `stream` of another type
 */
export function readMessage(text: string): MessageRequest {
  const { model, stream, ...rest } = parsedBody(text) as Record<string, unknown>;
  if (typeof model !== "string" || model === "") throw wrongType("model", "a string that names a model", model);
  if (typeof (stream ?? false) !== "boolean") throw wrongType("stream", "true or false", stream);
  const body = withoutMembers(text, elsewhere);
  return {
    model,
    streamed: stream === true,
    body: "anthropic_version" in rest ? body : withFirstMember(body, `"anthropic_version":"${version}"`),
  };
}

const maxGotLength = 100;

function wrongType(field: string, allowed: string, value: unknown): SluiceError {
  const text = typeof value === "string" ? quote(value) : JSON.stringify(value);
  const got = value === undefined ? "nothing" : text.slice(0, maxGotLength);
  return new SluiceError("invalid_request", `${field} must be ${allowed}; got ${got}.`, { field });
}
