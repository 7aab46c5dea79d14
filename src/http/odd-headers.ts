// Headers without which a request cannot be understood as it was meant. Node would refuse the first without a word.
import type { onRequestHookHandler } from "fastify";
import { SluiceError } from "../domain/errors.ts";

export const refuseOddHeaders: onRequestHookHandler = ({ headers, raw }, _reply, done) => {
  if (headers.host === undefined && raw.httpVersion === "1.1") {
    return done(new SluiceError("invalid_request", "The header Host is required.", { field: "Host" }));
  }
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    return done(
      new SluiceError("unsupported_media_type", "The body must be sent as it is, without Content-Encoding.", {
        field: "Content-Encoding",
      }),
    );
  }
  done();
};
