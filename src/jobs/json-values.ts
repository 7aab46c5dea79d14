// JSON that a caller hands through to the provider (schemas, tool calls): checked without recursion, because a body of
// brackets is nested a million deep and would end the stack of whoever walks it.
import { SluiceError } from "../domain/errors.ts";
import { requireUnicode } from "./unicode.ts";

const maxDepth = 64;

/** @throws SluiceError `invalid_request` for values that are nested too deep, or text that is not Unicode */
export function checkJson(value: unknown, field: string): void {
  const open: { value: unknown; depth: number }[] = [{ value, depth: 0 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { value: found, depth } = next;
    if (typeof found === "string") requireUnicode(found, field);
    if (typeof found !== "object" || found === null) continue;
    if (depth === maxDepth) {
      throw new SluiceError("invalid_request", `${field} must not be nested deeper than ${maxDepth} levels.`, {
        field,
      });
    }
    for (const [key, inside] of Object.entries(found)) {
      requireUnicode(key, field);
      open.push({ value: inside, depth: depth + 1 });
    }
  }
}
