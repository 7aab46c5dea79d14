// The types of native requests and answers, with the names of the HTTP API.

/** A request in Bedrock's own format. */
export interface NativeRequest {
  operation: "converse" | "invoke";
  /** Sent byte for byte, as this client prints it. */
  body: object;
  /** Whether to call the streaming form of the operation. Default: false. */
  stream?: boolean;
  /** Headers that begin with x-amzn-bedrock-, or anthropic-beta. */
  headers?: Record<string, string>;
}

/** What a native job asked for, and its raw answer. */
export interface NativeAnswer {
  operation: "converse" | "invoke";
  stream: boolean;
  /** The foundation model that must answer. */
  base_model: string | null;
  /** The body of the answer, verbatim. Null if there is none, or it was streamed. */
  body: string | null;
  /** The events of a streamed answer: one line each, the JSON of [event type, payload as text]. */
  events: string | null;
  headers: Record<string, string> | null;
}
