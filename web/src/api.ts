// Calls the API that the dashboard's server offers below its own address. Errors carry the API's message and advice in
// words for people.
import { errorAdvice, messageForPeople } from "./error-words.ts";

/** The address of the page, which ends with a slash. The server writes it into the document. */
export const base = new URL(document.baseURI);

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether the same call may succeed later. */
  get mayPass(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** What to do, in words for people. Undefined if the message says enough. */
  get advice(): string | undefined {
    return errorAdvice[this.code];
  }
}

/** Functions to call when the session may have ended. */
export const onSignedOut = new Set<() => void>();

export interface CallOptions {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  signal?: AbortSignal;
}

/**
 * Calls the API.
 * @param path below the API's root, such as `v1/jobs?limit=50`
 * @throws ApiError for every answer that is no success, and if the service cannot be reached
 */
export async function call<T>(path: string, { method = "GET", body, signal }: CallOptions = {}): Promise<T> {
  const response = await send(path, {
    method,
    ...(signal && { signal }),
    ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return (await response.json()) as T;
}

/** Calls the API and returns the response, whose status is a success. Throws as `call` does. */
async function send(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(`api/${path}`, base), { credentials: "same-origin", ...init });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The service cannot be reached.");
  }
  if (response.ok) return response;
  const failure = await failureOf(response);
  if (failure.status === 401) for (const notify of onSignedOut) notify();
  throw failure;
}

async function failureOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string; field?: string } };
    return new ApiError(response.status, error.code, messageForPeople(error.message, error.field));
  } catch {
    return new ApiError(response.status, "error", `The service answered with status ${response.status}.`);
  }
}

/** Returns a query string with a question mark, without the parameters that are empty. */
export function query(parameters: Record<string, string | number | undefined>): string {
  const found = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(found.map(([name, value]) => [name, String(value)])).toString();
  return text === "" ? "" : `?${text}`;
}

/** Returns the sentence to show for a failure. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
