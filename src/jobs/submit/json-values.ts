// JSON that a caller hands through to the provider (schemas, tool calls): checked without recursion, because a body of
// brackets is nested a million deep and would end the stack of whoever walks it, JSON.stringify among them.
import { SluiceError } from "../../domain/errors.ts";
import { requireUnicode } from "./unicode.ts";

/** Levels of lists and objects that a schema, or the arguments of a tool call, may have. */
export const maxJsonDepth = 64;
/** Of a body that holds such values some levels down. */
const maxBodyDepth = maxJsonDepth + 16;

/** @throws SluiceError `invalid_request` for values that are nested too deep, or text that is not Unicode */
export function checkJson(value: unknown, field: string): void {
  walk(value, maxJsonDepth, field, (text) => requireUnicode(text, field));
}

/** @throws SluiceError `invalid_request` for a body that is nested deeper than any that could be taken */
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
