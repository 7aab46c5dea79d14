// Copies and reads files, and hashes every byte that passes.
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Size and hash of a file. */
export interface Content {
  bytes: number;
  /** SHA-256 in hexadecimal. */
  sha256: string;
}

export interface CopyOptions {
  /** Receives the number of bytes that were read since the last call. */
  onBytes?: ((bytes: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

const readBytes = 1024 * 1024;

/**
 * Copies a file and syncs the copy to disk. Its name is durable only once its folder is synced as well.
 * @param from a path, or an open file, which this closes
 * @param to a new file, readable only for its owner
 */
export async function copyFile(from: string | number, to: string, options: CopyOptions = {}): Promise<Content> {
  const source =
    typeof from === "number"
      ? createReadStream("", { fd: from, highWaterMark: readBytes })
      : createReadStream(from, { highWaterMark: readBytes });
  const hash = hashing(options);
  const target = createWriteStream(to, { flags: "wx", mode: 0o600, flush: true });
  await pipeline(source, hash.pass, target, { signal: options.signal });
  return hash.content();
}

/** Reads a file to its end. */
export async function contentOf(path: string, options: CopyOptions = {}): Promise<Content> {
  const source = createReadStream(path, { highWaterMark: readBytes, signal: options.signal });
  const hash = hashing(options);
  for await (const _ of hash.pass(source));
  return hash.content();
}

function hashing({ onBytes }: CopyOptions) {
  const hash = createHash("sha256");
  let bytes = 0;
  return {
    async *pass(source: Readable) {
      for await (const chunk of source) {
        hash.update(chunk);
        bytes += chunk.length;
        onBytes?.(chunk.length);
        yield chunk;
      }
    },
    content: (): Content => ({ bytes, sha256: hash.digest("hex") }),
  };
}
