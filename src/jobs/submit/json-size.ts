// Bounds the number of values in a body before anything parses it. Ten megabytes of `{},{},...` would block the process
// for forty seconds: parsed values take far more time and memory than their text.
import { SluiceError } from "../../domain/errors.ts";
import { endOfString } from "../../domain/json-scan.ts";

/** Maximum number of values in a body. The largest request that OpenAI takes fits: embeddings of 300,000 token ids. */
const maxJsonValues = 350_000;

/**
 * Checks the number of values in JSON text, which may be malformed. Its time is small next to that of `JSON.parse`.
 * @throws SluiceError `invalid_request`
 */
export function requireFewValues(json: string): void {
  let values = 1;
  for (let i = 0; i < json.length; i++) {
    switch (json[i]) {
      case '"':
        i = endOfString(json, i);
        break;
      case "{":
      case "[":
      case ",":
        values++;
    }
    if (values > maxJsonValues) {
      const message = `The body must have at most ${maxJsonValues} values; an element of a list and a member of an object are one each.`;
      throw new SluiceError("invalid_request", message, { field: "body" });
    }
  }
}
