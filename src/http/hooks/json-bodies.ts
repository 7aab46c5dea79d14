// Parses request bodies: JSON in UTF-8, or a form that its route reads as a stream.
import { isUtf8 } from "node:buffer";
import { quote, SluiceError } from "../../domain/errors.ts";
import { keepExact } from "../../jobs/submit/exact-json.ts";
import { requireFewValues } from "../../jobs/submit/json-size.ts";
import { requireUnicodeIn } from "../../jobs/submit/unicode.ts";
import { jsonExpected } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Whether the body stays the text that it is. Then the handler parses it. Default: false. */
    verbatim?: boolean;
  }
}

/** Accepts only JSON in UTF-8. Decoding other bytes would silently change the prompt. */
export function acceptJsonOnly(app: HttpServer): void {
  const parse = app.getDefaultJsonParser("error", "error");
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body: Buffer, done) => {
    // Many clients send a Content-Type without a body.
    if (body.length === 0 && request.routeOptions.schema?.body === undefined) return done(null, undefined);
    const charset = charsetsOf(request.headers["content-type"]).find((name) => !/^utf-?8$/i.test(name));
    if (charset !== undefined) {
      const message = `JSON must be UTF-8; got the charset ${quote(charset)}.`;
      return done(new SluiceError("unsupported_media_type", message, { field: "Content-Type" }));
    }
    if (!isUtf8(body)) return done(new SluiceError("invalid_json", "The body is not valid UTF-8."));
    const text = body.toString();
    try {
      requireFewValues(text);
    } catch (reason) {
      return done(reason as Error);
    }
    if (request.routeOptions.config.verbatim) return done(null, text);
    parse(request, text, (error, value) => {
      if (error) return done(jsonError(text, error));
      try {
        requireUnicodeIn(value, text);
        const { keptAsText = [], keptVerbatim = [] } = request.routeOptions.config;
        keepExact(value, text, keptAsText, { verbatim: keptVerbatim });
      } catch (reason) {
        return done(reason as Error);
      }
      done(null, value);
    });
  });
  // Only uploads use forms. Their route reads the form as a stream.
  app.addContentTypeParser("multipart/form-data", (request, _body, done) => {
    const { upload } = request.routeOptions.config;
    done(upload ? null : new SluiceError("unsupported_media_type", jsonExpected), undefined);
  });
}

/** Returns every charset of a media type, because it is undefined which of two a reader uses. */
function charsetsOf(contentType = ""): string[] {
  const parameters = contentType.matchAll(/;\s*charset\*?\s*=\s*(?:"([^"]*)"|([^\s;]*))/gi);
  return [...parameters].map(([, quoted, bare]) => quoted ?? bare ?? "");
}

function jsonError(text: string, error: Error): Error {
  if (text === "") return error;
  try {
    JSON.parse(text);
    return new SluiceError(
      "invalid_json",
      "The body contains a key that is not allowed: __proto__ or constructor.prototype.",
    );
  } catch (reason) {
    return new SluiceError("invalid_json", `The body is not valid JSON: ${(reason as Error).message}.`);
  }
}
