// Errors that a server answers with: Bedrock itself, in an HTTP response or in a stream, or a server in front of it.
import type { StreamMessage } from "../../event-stream/event-stream-reader.ts";

/** An error of Bedrock or of a server in front of it. Its name is the error's type, such as "ThrottlingException". */
export class ServiceError extends Error {
  override readonly name: string;
  /** HTTP status. Absent for an error in a stream. */
  readonly status?: number;
  /** Headers of the response, by lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;

  private constructor(type: string, message: string, status?: number, headers: ServiceError["headers"] = {}) {
    super(message);
    this.name = type || unknownType;
    if (status !== undefined) this.status = status;
    this.headers = headers;
  }

  /** Reads an HTTP response that is not successful. */
  static ofResponse(status: number, headers: ServiceError["headers"], body: string): ServiceError {
    const json = parsed(body);
    // A type may have a namespace before a `#`, or an address after a `:`.
    const given = headers["x-amzn-errortype"] ?? (textAt(json, "code") || textAt(json, "__type"));
    const type = given.split(",")[0]!.split(":")[0]!.replace(/^.*#/, "");
    const message = json === undefined && body.trim() !== "" ? notJson(status) : messageOf(json);
    return new ServiceError(type, message, status, headers);
  }

  /** Reads the message that ends a stream with an error. */
  static ofStream(message: Exclude<StreamMessage, { kind: "event" }>): ServiceError {
    if (message.kind === "error") return new ServiceError(message.code, message.message);
    const json = parsed(message.payload);
    return new ServiceError(message.type, json === undefined ? message.payload : messageOf(json));
  }
}

/** Name of an error whose server names no type. */
export const unknownType = "Unknown";

/** A proxy or another server answered with an HTML page. */
export class HtmlAnswer extends Error {
  override readonly name = "HtmlAnswer";
  readonly status: number;

  constructor(status: number) {
    super(`The response was an HTML page with HTTP ${status}.`);
    this.status = status;
  }
}

function notJson(status: number): string {
  return `The provider answered HTTP ${status} with a body that is not JSON.`;
}

function messageOf(json: unknown): string {
  return textAt(json, "message") || textAt(json, "Message");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function textAt(json: unknown, key: string): string {
  const value = typeof json === "object" && json !== null ? (json as Record<string, unknown>)[key] : undefined;
  return typeof value === "string" ? value : "";
}
