// Tells messages of HTTP/2 from those of HTTP/1.1. Node's classes for HTTP/2 are compatible with those for HTTP/1.1
// except for the connection, which several requests share.
import type { IncomingMessage, ServerResponse } from "node:http";
import { Http2ServerRequest, Http2ServerResponse, type ServerHttp2Stream } from "node:http2";

/** Returns the HTTP/2 stream of a request or response, or undefined if it uses HTTP/1.1. */
export function http2StreamOf(raw: IncomingMessage | ServerResponse): ServerHttp2Stream | undefined {
  const message: unknown = raw;
  return message instanceof Http2ServerRequest || message instanceof Http2ServerResponse ? message.stream : undefined;
}
