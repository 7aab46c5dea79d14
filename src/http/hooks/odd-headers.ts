// Refuses headers that make a request ambiguous. Node would refuse a missing Host without a message.
import { type IncomingMessage, maxHeaderSize } from "node:http";
import type { onRequestHookHandler } from "fastify";
import { quote, SluiceError } from "../../domain/errors.ts";
import { headersTooLarge } from "../error-responses.ts";

export const refuseOddHeaders: onRequestHookHandler = ({ headers, raw }, _reply, done) => {
  if (headers.host === undefined && raw.httpVersion === "1.1") {
    return done(new SluiceError("invalid_request", "The Host header is required.", { field: "Host" }));
  }
  if (raw.httpVersionMajor === 2 && sizeOf(raw.rawHeaders) > maxHeaderSize) {
    return done(new SluiceError("invalid_request", headersTooLarge));
  }
  if (hasSeveralHosts(raw)) {
    return done(new SluiceError("invalid_request", "The Host header must be sent only once.", { field: "Host" }));
  }
  const encoding = headers["content-encoding"];
  const readsBody = raw.method !== "GET" && raw.method !== "HEAD";
  if (readsBody && encoding !== undefined && encoding !== "identity") {
    return done(
      new SluiceError(
        "unsupported_media_type",
        `Content-Encoding ${quote(encoding)} is not supported. Send the body uncompressed.`,
        {
          field: "Content-Encoding",
        },
      ),
    );
  }
  done();
};

/** Returns the size of all headers. A client of HTTP/2 may send a request before it knows the limit. */
function sizeOf(rawHeaders: readonly string[]): number {
  return rawHeaders.reduce((sum, text) => sum + text.length, 0);
}

/**
 * Returns whether the request has several Host headers, or another one than HTTP/2's `:authority`. Node keeps the first
 * one, but a proxy may have used another.
 */
function hasSeveralHosts({ headers, rawHeaders }: IncomingMessage): boolean {
  const authority = headers[":authority"];
  if (authority !== undefined && authority !== headers.host) return true;
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
}
