// Sends requests with the key and time limits, converts failures to errors, and retries where a retry is safe and can
// help.
import { SluiceApiError, SluiceConnectionError } from "./client-errors.ts";

export interface ClientOptions {
  /** Address of the service. Default: http://127.0.0.1:8000. */
  baseUrl?: string;
  /** API key, `sk-sluice-...`. Not needed by a service without keys. */
  apiKey?: string;
  /** Maximum number of retries after 429, 503 or a lost connection. Default: 4. */
  maxRetries?: number;
  /**
   * Maximum time for one request that does not wait for a job, in milliseconds. `Infinity` and 0 mean no limit; 2^31 -
   * 1 (24.8 days) is the maximum. Default: 30,000.
   */
  timeoutMs?: number;
  /** Returns headers to add to each request, such as `traceparent`. */
  headers?: () => Record<string, string>;
  /** Replaces the global fetch. */
  fetch?: typeof fetch;
}

export interface RequestOptions {
  method?: "GET" | "POST" | "DELETE";
  /** A body that is sent as JSON. */
  body?: unknown;
  /** A body that is sent unchanged. Such a request is not retried, because a stream can be read only once. */
  stream?: { body: unknown; type: string };
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Maximum time for this request, in milliseconds. 0 and `Infinity` mean no limit. Default: the client's. */
  timeoutMs?: number;
}

const defaultBaseUrl = "http://127.0.0.1:8000";
const firstDelayMs = 500;
const maxDelayMs = 60_000;
/** The longest delay of setTimeout, in milliseconds (about 24.8 days). It runs longer delays at once. */
const longestTimeoutMs = 2 ** 31 - 1;

export class Transport {
  readonly maxRetries: number;
  readonly #base: string;
  readonly #timeoutMs: number;
  readonly #apiKey: string | undefined;
  readonly #headers: () => Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor(options: ClientOptions) {
    const { baseUrl = defaultBaseUrl, apiKey, maxRetries = 4, timeoutMs = 30_000, fetch: own } = options;
    const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
    // The message omits the address, which may contain a password.
    if (url?.username !== "" || url.password !== "") {
      throw new TypeError(`baseUrl must be a URL such as ${defaultBaseUrl}, without a user name or password.`);
    }
    this.#base = baseUrl.replace(/\/+$/, "");
    this.#apiKey = apiKey;
    this.maxRetries = maxRetries;
    this.#timeoutMs = timeoutMs;
    this.#headers = options.headers ?? (() => ({}));
    // Browsers refuse a fetch that is called as a method of another object.
    this.#fetch = own ?? ((...args) => fetch(...args));
  }

  /**
   * Returns the response as JSON.
   * @throws SluiceApiError, SluiceConnectionError, or the reason of the signal
   */
  async json<T>(path: string, options: RequestOptions = {}): Promise<T> {
    return this.#retrying(options, async (limit) => {
      const response = await this.#send(path, options, limit);
      const content = parse(await response.text());
      if (typeof content === "object" && content !== null) return content as T;
      throw notOurs(response.status);
    });
  }

  /** Returns a response with status 2xx, to be read as a stream. After that, only the signal of the options ends it. */
  async open(path: string, options: RequestOptions = {}): Promise<Response> {
    return this.#retrying(options, (limit) => this.#send(path, options, limit));
  }

  async #retrying<T>(options: RequestOptions, attempt: (limit: AbortSignal) => Promise<T>): Promise<T> {
    const { signal, timeoutMs = this.#timeoutMs } = options;
    for (let tries = 0; ; tries++) {
      if (signal?.aborted) throw signal.reason;
      const limit = new AbortController();
      const limited = timeoutMs > 0 && timeoutMs !== Number.POSITIVE_INFINITY;
      const timer = limited ? setTimeout(() => limit.abort(tooLate), Math.min(timeoutMs, longestTimeoutMs)) : undefined;
      try {
        // A listener would remain on a signal that outlives many requests.
        return await attempt(signal ? AbortSignal.any([signal, limit.signal]) : limit.signal);
      } catch (error) {
        // The caller aborted and knows the reason.
        if (signal?.aborted) throw signal.reason;
        const known = error instanceof SluiceApiError || error instanceof SluiceConnectionError;
        const failure = known ? error : connectionError(this.#base, error, limit.signal.aborted);
        if (options.stream || tries >= this.maxRetries || !mayRetry(failure)) throw failure;
        await sleep(delayAfter(failure, tries), signal);
      } finally {
        clearTimeout(timer);
      }
    }
  }

  async #send(path: string, options: RequestOptions, signal: AbortSignal): Promise<Response> {
    const { method = "GET", body, stream, headers } = options;
    const init = {
      method,
      headers: {
        ...this.#headers(),
        ...(this.#apiKey !== undefined && { authorization: `Bearer ${this.#apiKey}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(stream && { "content-type": stream.type }),
        ...headers,
      },
      signal,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(stream && { body: stream.body, duplex: "half" }),
    } as RequestInit;
    const response = await this.#fetch(this.#base + path, init);
    if (response.ok) return response;
    throw errorOf(response, parse(await response.text()));
  }
}

const tooLate = new Error("The service did not respond in time.");

/** Returns whether the failure may be temporary: too many requests, an unavailable service or a lost connection. */
function mayRetry(error: unknown): boolean {
  // A proxy answers 502 or similar if it finds no service.
  if (error instanceof SluiceConnectionError) return error.status === undefined || error.status >= 500;
  return error instanceof RetryableError;
}

/** Returns the delay before a retry in milliseconds: what the service named, or else an increasing time. */
export function delayAfter(error: unknown, tries: number): number {
  const requestedS = error instanceof SluiceApiError ? error.retryAfter : undefined;
  const wait = requestedS === undefined ? firstDelayMs * 2 ** tries : requestedS * 1000;
  return Math.min(maxDelayMs, wait * (1 + Math.random() / 4));
}

/**
 * Resolves after a time.
 * @throws the reason of the signal
 */
export function sleep(ms: number, signal?: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      },
      Math.min(ms, longestTimeoutMs),
    );
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** An error of a request that may succeed later. */
class RetryableError extends SluiceApiError {}

function errorOf(response: Response, content: unknown): Error {
  const { status, headers } = response;
  const error = (content as { error?: Record<string, unknown> } | undefined)?.error;
  if (typeof error?.code !== "string" || typeof error.message !== "string") return notOurs(status);
  const retryAfter = Number(headers.get("retry-after") ?? Number.NaN);
  const details = {
    code: error.code,
    message: error.message,
    status,
    // OpenAI's API names the field `param`.
    ...text("field", error.field ?? error.param),
    ...text("advice", error.advice),
    ...text("jobId", error.job_id ?? headers.get("x-sluice-job-id")),
    ...text("requestId", error.request_id ?? headers.get("x-request-id")),
    ...(retryAfter >= 0 && { retryAfter }),
  };
  const passes = (status === 429 || status === 503) && headers.get("x-should-retry") !== "false";
  return passes ? new RetryableError(details) : new SluiceApiError(details);
}

function text<K extends string>(key: K, value: unknown): { [P in K]?: string } {
  return typeof value === "string" ? ({ [key]: value } as { [P in K]?: string }) : {};
}

function notOurs(status: number): SluiceConnectionError {
  return new SluiceConnectionError(`The response (status ${status}) is not from Sluice. Check baseUrl.`, { status });
}

function connectionError(base: string, error: unknown, timedOut: boolean): SluiceConnectionError {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
  const why = timedOut ? "it does not answer" : (cause?.code ?? cause?.message ?? message);
  return new SluiceConnectionError(`The service at ${base} cannot be reached: ${why}.`, { cause: error });
}

function parse(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}
