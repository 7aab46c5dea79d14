// Converts a call in Bedrock's own format to the request of a job. The body stays the text that it is, with one
// exception: the header anthropic-beta becomes its field `anthropic_beta`, because Bedrock knows no such header.
import type { Settings } from "../../config/settings.ts";
import { SluiceError } from "../../domain/errors.ts";
import { withListed } from "../../domain/json-edit.ts";
import type { NativeRequest } from "../../domain/native-request.ts";
import { servedBy } from "../served-by.ts";
import { requireFewValues } from "./json-size.ts";
import { checkDepth } from "./json-values.ts";
import { betasOf, sentHeadersOf, tierOf } from "./native-headers.ts";
import { nativeOutput } from "./native-output.ts";
import type { NativeInput } from "./submit-input.ts";

/**
 * Returns the request of a job. What Bedrock refuses in a body is not checked: the body is the caller's. It may be as
 * long as a request.
 * @param target the model that the body is written for
 * @throws SluiceError `invalid_json`, `invalid_request` (a body that is no object or is nested too deeply, a
 *   header that cannot be sent)
 */
export function nativeRequestOf(
  settings: Pick<Settings, "models">,
  { native }: NativeInput,
  target: { model: string; baseModel: string },
): NativeRequest {
  const { operation, streamed, headers = {} } = native;
  const body = parsedBody(native.body);
  const maximum = Math.max(...servedBy(settings, target).map(({ maxOutputTokens }) => maxOutputTokens));
  const sent = sentHeadersOf(headers);
  const place = operation === "invoke" ? ["anthropic_beta"] : ["additionalModelRequestFields", "anthropic_beta"];
  const betas = betasOf(headers);
  const tier = tierOf(headers, body);
  return {
    native: {
      operation,
      streamed,
      body: betas.length === 0 ? native.body : withListed(native.body, place, betas),
      ...(sent && { headers: sent }),
    },
    parameters: { maxTokens: nativeOutput(operation, body, target.baseModel, maximum) },
    ...(tier && { serviceTier: tier }),
  };
}

const field = "body";

/**
 * Parses the body of a native request.
 * @throws SluiceError `invalid_json`, `invalid_request` for a body that is no object, is nested too deeply or has too
 *   many values
 */
export function parsedBody(text: string): object {
  requireFewValues(text);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new SluiceError("invalid_json", `The body is not valid JSON: ${(error as Error).message}.`, { field });
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new SluiceError("invalid_request", "body must be a JSON object.", { field });
  }
  checkDepth(body);
  return body;
}
