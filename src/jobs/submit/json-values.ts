// Checks JSON that is passed to the provider (schemas, tool calls). It works without recursion, because a body of
// brackets may be nested a million levels deep. That would overflow the stack of recursive code such as JSON.stringify.
import { SluiceError } from "../../domain/errors.ts";
import { requireUnicode } from "./unicode.ts";

/** Maximum nesting of a schema or of tool arguments, in levels of lists and objects. */
export const maxJsonDepth = 64;
/** Maximum nesting of a body, which contains such values some levels down. */
const maxBodyDepth = maxJsonDepth + 16;

/**
 * Checks a value.
 * @throws SluiceError `invalid_request` for values that are nested too deeply, or text that is not Unicode
 */
export function checkJson(value: unknown, field: string): void {
  walk(value, maxJsonDepth, field, (text) => requireUnicode(text, field));
}

/**
 * Checks the nesting of a body.
 * @throws SluiceError `invalid_request` for a body that is nested deeper than any valid one
 */
export function checkDepth(body: unknown): void {
  walk(body, maxBodyDepth, "body", () => {});
}

function walk(value: unknown, max: number, field: string, onText: (text: string) => void): void {
  const open: { value: unknown; depth: number }[] = [{ value, depth: 0 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { value: found, depth } = next;
    if (typeof found === "string") onText(found);
    if (typeof found !== "object" || found === null) continue;
    if (depth === max) {
      throw new SluiceError("invalid_request", `${field} must not be nested deeper than ${max} levels.`, { field });
    }
    for (const [key, inside] of Object.entries(found)) {
      onText(key);
      open.push({ value: inside, depth: depth + 1 });
    }
  }
}
