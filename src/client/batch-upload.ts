// Uploads the input of a batch while it is produced: bytes of a file, or requests that become lines.
import type { BatchInputOptions, BatchItem, BatchOptions, FileResource } from "./batch-types.ts";
import type { Transport } from "./transport.ts";

export interface UploadOptions {
  /** Environment of the jobs. Default: the first of the service's environments that the key may use. */
  environment?: string;
  /** Default: batch.jsonl. */
  filename?: string;
  /** Ends the upload. */
  signal?: AbortSignal;
}

const noticeEach = 1000;
export const defaultEndpoint = "/v1/chat/completions";

/** Uploads bytes as they are produced. An error of the iterable is thrown as it is, and no file is left. */
export async function uploadFile(
  transport: Transport,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { environment, filename = "batch.jsonl", signal }: UploadOptions,
): Promise<FileResource> {
  const boundary = `sluice-${crypto.randomUUID()}`;
  const encoder = new TextEncoder();
  /** An error of the caller's iterable during the upload. */
  let thrown: { error: unknown } | undefined;
  async function* form(): AsyncGenerator<Uint8Array> {
    const part = (name: string) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
    const quoted = filename.replace(/["\r\n]/g, encodeURIComponent);
    yield encoder.encode(`${part("purpose")}\r\n\r\nbatch\r\n`);
    yield encoder.encode(`${part("file")}; filename="${quoted}"\r\nContent-Type: application/jsonl\r\n\r\n`);
    try {
      yield* content;
    } catch (error) {
      thrown = { error };
      throw error;
    }
    yield encoder.encode(`\r\n--${boundary}--\r\n`);
  }
  const type = `multipart/form-data; boundary=${boundary}`;
  const body = canStream() ? streamOf(form()) : await whole(form());
  try {
    return await transport.json<FileResource>("/v1/files", {
      method: "POST",
      stream: { body, type },
      headers: environment === undefined ? {} : { "x-sluice-environment": environment },
      signal,
      timeoutMs: 0,
    });
  } catch (error) {
    // The transport reports it as a lost connection.
    if (thrown && !signal?.aborted) throw thrown.error;
    throw error;
  }
}

/** Uploads requests as lines, in their order. @returns the id of the file */
export async function uploadItems(
  transport: Transport,
  items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
  { environment, signal, endpoint = defaultEndpoint, onProgress, ...defaults }: BatchOptions,
): Promise<string> {
  const encoder = new TextEncoder();
  async function* lines(): AsyncGenerator<Uint8Array> {
    let n = 0;
    for await (const item of items) {
      n++;
      yield encoder.encode(`${onOneLine(JSON.stringify(lineOf(item, n, endpoint, defaults)))}\n`);
      if (n % noticeEach === 0) onProgress?.({ status: "uploading", total: n, completed: 0, failed: 0 });
    }
  }
  const place = { ...(environment !== undefined && { environment }), ...(signal && { signal }) };
  return (await uploadFile(transport, lines(), place)).id;
}

function lineOf(item: BatchItem, n: number, url: string, { model, maxTokens }: BatchInputOptions) {
  const { customId = `request-${n}`, body } = typeof item === "string" ? { body: ofPrompt(item, maxTokens) } : item;
  return { custom_id: customId, method: "POST", url, body: { ...(model !== undefined && { model }), ...body } };
}

function ofPrompt(content: string, maxTokens: number | undefined): Record<string, unknown> {
  return { messages: [{ role: "user", content }], ...(maxTokens !== undefined && { max_tokens: maxTokens }) };
}

/** Escapes characters that some readers treat as line breaks. */
function onOneLine(json: string): string {
  return json.replace(/[\u0085\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function streamOf(pieces: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
}

/** Returns whether fetch can stream a body. Some browsers convert a stream to text without reading `duplex`. */
function canStream(): boolean {
  let readDuplex = false;
  const init = {
    method: "POST",
    body: new ReadableStream(),
    get duplex() {
      readDuplex = true;
      return "half";
    },
  };
  const { headers } = new Request("http://localhost/", init as RequestInit);
  return readDuplex && !headers.has("content-type");
}

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<Blob> {
  const all: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of pieces) all.push(piece as Uint8Array<ArrayBuffer>);
  return new Blob(all);
}
