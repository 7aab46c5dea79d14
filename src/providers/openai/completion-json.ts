// Parses a completion, or a chunk of one. Against OpenAI's rules, some servers send the arguments of a call as an
// object. Their text is taken from the JSON verbatim, because parsing and printing could change it.
import { scanJson } from "../../domain/json-scan.ts";

const places = ["message", "delta"].map((piece) => `choices.*.${piece}.tool_calls.*.function.arguments`);

/** Matches arguments sent as an object. Quotes inside a string are escaped, so text of the model never matches. */
const argumentsAsObject = /"arguments"\s*:\s*[{[]/;

/** Parses a completion. Returns undefined for text that is not JSON. */
export function parseCompletion(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!argumentsAsObject.test(text)) return value;
  for (const span of scanJson(text, places)) {
    const holder = span.path.slice(0, -1).reduce<unknown>((at, part) => at?.[part as keyof typeof at], value);
    if (typeof holder === "object" && holder !== null) Object.assign(holder, { arguments: span.text });
  }
  return value;
}
