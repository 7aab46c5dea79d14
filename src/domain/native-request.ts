// Requests and answers in Bedrock's own format. The store and the provider keep them byte for byte.

/** Service tiers of Bedrock, with their own prices. */
export type ServiceTier = "default" | "priority" | "flex";

/** A request in Bedrock's own format: stored, and sent to the provider, byte for byte. */
export interface NativeRequest {
  native: NativeCall;
  /** `maxTokens` is what quotas reserve for the output. It is read from the body and never sent. */
  parameters: { maxTokens: number };
  /** Tier that the body or a header asks for. Read for prices and metrics, and never sent. Absent: the default. */
  serviceTier?: ServiceTier;
}

/** One call of the Bedrock Runtime API. */
export interface NativeCall {
  /** Operation of the Bedrock Runtime API. */
  operation: "converse" | "invoke";
  /** Whether the streaming form of the operation is called. */
  streamed: boolean;
  /** The body verbatim. It is text, because the API accepts only valid UTF-8. Empty once erased. */
  body: string;
  /** Headers to send, by lower-case names. It has only names of the allow list. */
  headers?: Record<string, string>;
}

/** The provider's answer to a native request, verbatim. */
export interface NativeAnswer {
  /** Body of an answer that was not streamed. */
  body?: string;
  /** Events of a streamed answer, in order: one line each, the JSON of [event type, payload as text]. */
  events?: string;
  /** Headers of the answer that callers may need, by lower-case names (content-type, x-amzn-bedrock-*). */
  headers?: Record<string, string>;
}
