// Lines of a batch in Bedrock's own format. The endpoint of the batch names the model, as the path of a call does.
import { JsonText } from "../../domain/json-text.ts";
import type { NativeCall } from "../../domain/native-request.ts";
import type { LineFormat } from "../../jobs/batches/batch-lines.ts";

/** The endpoints, as errors name them. */
export const nativeEndpoints = ["/model/{modelId}/converse", "/model/{modelId}/invoke"] as const;

/**
 * Returns the format of an endpoint of Bedrock, or undefined for another one. Its bodies are read as the texts that they
 * are, and its responses have the model's own bodies.
 */
export function nativeLines(endpoint: string, fail: LineFormat["fail"]): LineFormat | undefined {
  const target = targetOf(endpoint);
  if (!target) return undefined;
  const { model, operation } = target;
  return {
    keptAsText: "whole",
    read: (body, { environment, priority }) => ({
      input: { environment, priority, model, native: { operation, streamed: false, body: (body as JsonText).text } },
      stream: false,
    }),
    needsRequest: false,
    respond: (_, { native }) => bodyOf(native?.body),
    fail,
  };
}

/** Returns model and operation of `/model/{modelId}/{operation}`. An ARN may be percent-encoded or not. */
function targetOf(endpoint: string): { model: string; operation: NativeCall["operation"] } | undefined {
  const [, id, operation] = /^\/model\/(.+)\/(converse|invoke)$/.exec(endpoint) ?? [];
  if (id === undefined) return undefined;
  try {
    return { model: decodeURIComponent(id), operation: operation as NativeCall["operation"] };
  } catch {
    return undefined;
  }
}

/** Returns the answer as it came. An answer that was erased, or is no JSON, has no body that a line could hold. */
function bodyOf(body: string | undefined): object {
  if (body === undefined) return {};
  try {
    JSON.parse(body);
    return new JsonText(body);
  } catch {
    return { text: body };
  }
}
