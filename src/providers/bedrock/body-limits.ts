// Bounds the body of a response before the AWS SDK reads it. The SDK collects a whole JSON body in memory. For an event
// stream it allocates what the first bytes of a frame announce, up to 4 GB.
import { pipeline, type Readable, Transform } from "node:stream";
import { tooLarge } from "../bounds.ts";

/** Maximum size of a body in one piece, in bytes. */
const maxBodyBytes = 64 * 1024 * 1024;
/** Maximum size of one frame of an event stream, in bytes. The largest answer with every character escaped fits. */
const maxFrameBytes = 32 * 1024 * 1024;
/** A frame begins with its length, in this many bytes. */
const lengthBytes = 4;

/** Returns the body as a stream that fails with a ProviderError if it is too large. */
export function boundedBody(body: Readable, contentType: string): Readable {
  const check = contentType.includes("eventstream") ? frameCheck() : totalCheck();
  const bounded = new Transform({
    transform(chunk: Buffer, _, done) {
      if (check(chunk)) done(null, chunk);
      else done(tooLarge());
    },
  });
  // The error reaches the reader of `bounded`.
  pipeline(body, bounded, () => {});
  return bounded;
}

type Check = (chunk: Buffer) => boolean;

function totalCheck(): Check {
  let total = 0;
  return (chunk) => {
    total += chunk.length;
    return total <= maxBodyBytes;
  };
}

function frameCheck(): Check {
  /** Bytes of the current frame that have not arrived. */
  let left = 0;
  /** The beginning of a length that is split between two chunks. */
  let length: number[] = [];
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (left > 0) {
        const skipped = Math.min(left, chunk.length - at);
        left -= skipped;
        at += skipped;
        continue;
      }
      length.push(chunk[at]!);
      at += 1;
      if (length.length < lengthBytes) continue;
      const announced = Buffer.from(length).readUInt32BE();
      length = [];
      if (announced > maxFrameBytes) return false;
      left = Math.max(0, announced - lengthBytes);
    }
    return true;
  };
}
