// Refuses headers that make a request ambiguous. Node would refuse a missing Host without a message.
import type { onRequestHookHandler } from "fastify";
import { quote, SluiceError } from "../../domain/errors.ts";

export const refuseOddHeaders: onRequestHookHandler = ({ headers, raw }, _reply, done) => {
  if (headers.host === undefined && raw.httpVersion === "1.1") {
    return done(new SluiceError("invalid_request", "The Host header is required.", { field: "Host" }));
  }
  if (hasSeveralHosts(raw.rawHeaders)) {
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

/**
 * Returns whether the request has several Host headers. Node keeps the first one, but a proxy may have used another.
 */
function hasSeveralHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
}
