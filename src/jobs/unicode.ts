import { SluiceError } from "../domain/errors.ts";

/**
 * Half of a surrogate pair cannot be written as UTF-8: the provider would get another text than the caller sent.
 * @throws SluiceError `invalid_request`
 */
export function requireUnicode(text: string, field: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw new SluiceError("invalid_request", `${field} must be valid Unicode; it holds half of a surrogate pair.`, {
      field,
    });
  }
}
