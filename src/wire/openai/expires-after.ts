// Reads OpenAI's `expires_after`, which deletes a file after a time.
import Type from "typebox";
import { quote, SluiceError } from "../../domain/errors.ts";

/** OpenAI's own bounds, in seconds. */
const [leastS, mostS] = [3_600, 2_592_000];

/**
 * Returns the schema of `expires_after`.
 * @param what the kind of file, for the description
 */
export const expiresAfter = (what: string) =>
  Type.Object(
    { anchor: Type.Literal("created_at"), seconds: Type.Integer({ minimum: leastS, maximum: mostS }) },
    { additionalProperties: false, description: `Deletes the ${what} after this number of seconds from its creation.` },
  );

/**
 * Reads the parts of `expires_after` from a form, where both are text, and returns milliseconds.
 * @throws SluiceError `invalid_request`
 */
export function expiresInMsOf({
  anchor,
  seconds,
}: {
  anchor: string | undefined;
  seconds: string | undefined;
}): number {
  if (anchor !== "created_at") throw wrong("expires_after[anchor]", "created_at", anchor);
  const value = /^\d{1,10}$/.test(seconds ?? "") ? Number(seconds) : Number.NaN;
  if (value >= leastS && value <= mostS) return value * 1000;
  throw wrong("expires_after[seconds]", `a whole number from ${leastS} to ${mostS}`, seconds);
}

function wrong(field: string, allowed: string, got: string | undefined): SluiceError {
  const shown = got === undefined ? "nothing" : quote(got);
  return new SluiceError("invalid_request", `${field} must be ${allowed}; got ${shown}.`, { field });
}
