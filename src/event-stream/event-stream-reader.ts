// Reads streams of AWS's event-stream format, in which Bedrock streams its answers. The library decodes a message and
// verifies its checksums. This file finds the messages in a stream, because the library's own reader allocates what the
// first bytes of a message announce, up to 4 GB.
import { EventStreamCodec } from "@smithy/core/event-streams";

/** One message of an event stream. */
export type StreamMessage =
  /** An event. `type` is its member in the operation's output, such as `contentBlockDelta`; `payload` is JSON. */
  | { kind: "event"; type: string; payload: string }
  /** An exception that the service models, such as `throttlingException`. It ends the stream. */
  | { kind: "exception"; type: string; payload: string }
  /** An error that no service models. It ends the stream. */
  | { kind: "error"; code: string; message: string };

/** The bytes are not an event stream, or the stream ends within a message. */
class MalformedStream extends Error {
  override readonly name = "MalformedStream";
}

const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === "string" ? bytes : textOf(bytes)),
  (text) => Buffer.from(text),
);

/** A message begins with its length, in this many bytes. */
const lengthBytes = 4;
/** Size of a message without headers and payload, in bytes. */
const minMessageBytes = 16;

/** Reads the messages of one stream, wherever its chunks begin and end. */
export class EventStreamReader {
  readonly #checkLength: (bytes: number) => void;
  /** What has arrived of the next message. */
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  /** How much must arrive before reading goes on. */
  #needed = lengthBytes;

  /**
   * Creates a reader.
   * @param checkLength called with the length of each message, in bytes, before it is read. Throws if it is too long
   */
  constructor(checkLength: (bytes: number) => void) {
    this.#checkLength = checkLength;
  }

  /** Returns the messages that a chunk completes. @throws MalformedStream, and what `checkLength` throws */
  *read(chunk: Uint8Array): Generator<StreamMessage> {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= this.#needed) {
      const joined = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
      const length = new DataView(joined.buffer, joined.byteOffset).getUint32(0);
      this.#checkLength(length);
      if (length < minMessageBytes) throw new MalformedStream(`A message of ${length} bytes is too short.`);
      if (joined.length < length) {
        this.#chunks = [joined];
        this.#needed = length;
        return;
      }
      this.#chunks = joined.length === length ? [] : [joined.subarray(length)];
      this.#bytes = joined.length - length;
      this.#needed = lengthBytes;
      yield decode(joined.subarray(0, length));
    }
  }

  /** Ends the stream. @throws MalformedStream if it ends within a message */
  end(): void {
    if (this.#bytes > 0) throw new MalformedStream("The stream ends within a message.");
  }
}

function decode(bytes: Uint8Array): StreamMessage {
  const { headers, body } = decoded(bytes);
  const header = (name: string) => String(headers[name]?.value ?? "");
  const kind = header(":message-type");
  switch (kind) {
    case "event":
      return { kind, type: header(":event-type"), payload: textOf(body) };
    case "exception":
      return { kind, type: header(":exception-type"), payload: textOf(body) };
    case "error":
      return { kind, code: header(":error-code"), message: header(":error-message") };
    default:
      throw new MalformedStream(`A message has the type ${JSON.stringify(kind.slice(0, 50))}.`);
  }
}

function decoded(bytes: Uint8Array): ReturnType<EventStreamCodec["decode"]> {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw new MalformedStream(`A message cannot be read: ${(error as Error).message}`);
  }
}

function textOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString();
}
