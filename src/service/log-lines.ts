// Formats JSON log lines for people, one line of text each, when the log goes to a terminal.
//
//   20:15:07 warn   recovered from an unclean stop  callsToRepeat=3

const levels: Record<number, [name: string, colour: string]> = {
  10: ["trace", "2"],
  20: ["debug", "2"],
  30: ["info", "32"],
  40: ["warn", "33"],
  50: ["error", "31"],
  60: ["fatal", "31"],
};

/** Fields that every line has, with the same value in the whole process. */
const left = ["level", "time", "pid", "hostname", "msg", "err"];

/**
 * Returns a log line of JSON as text, with its line break. Returns any other line unchanged.
 * @param coloured whether to add colour codes for a terminal
 */
export function readableLine(json: string, coloured: boolean): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(json);
  } catch {
    return json;
  }
  const [name, colour] = levels[Number(entry.level)] ?? ["info", "32"];
  const paint = (text: string, code: string) => (coloured ? `\u001b[${code}m${text}\u001b[0m` : text);
  const time = new Date(Number(entry.time)).toTimeString().slice(0, 8);
  const fields = Object.entries(entry).filter(([key]) => !left.includes(key));
  const { stack, ...error } = (entry.err ?? {}) as Record<string, unknown>;
  for (const key of ["type", "code", "message"]) if (error[key] !== undefined) fields.push([`err.${key}`, error[key]]);
  const about = fields.map(([key, value]) => `${paint(`${key}=`, "2")}${wordOf(value)}`).join(" ");
  const head = `${paint(time, "2")} ${paint(name.padEnd(5), colour)} ${printable(String(entry.msg ?? ""))}`;
  const trace = typeof stack === "string" ? `\n${stack.split("\n").map(printable).join("\n")}` : "";
  return `${head}${about === "" ? "" : `  ${about}`}${trace}\n`;
}

function wordOf(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return typeof value === "string" && /[\s"=]/.test(value) ? printable(JSON.stringify(value)) : printable(text);
}

/** Escapes codes that move the cursor or change colours, because some of the text comes from outside. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, "\ufffd");
}
