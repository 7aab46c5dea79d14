// The log as text, for people at a terminal.
import { expect, test } from "vitest";
import { createLog } from "../../src/service/log.ts";
import { readableLine } from "../../src/service/log-lines.ts";

function readable(coloured: boolean, write: (log: ReturnType<typeof createLog>) => void): string {
  let all = "";
  write(createLog("info", { write: (line) => (all += readableLine(line, coloured)) }));
  return all;
}

test("F2: on a terminal a line is text: time, level, message, fields", () => {
  const line = readable(false, (log) =>
    log.warn({ callsToRepeat: 3, reason: "two words", models: ["a", "b"] }, "recovered"),
  );
  expect(line).toMatch(/^\d\d:\d\d:\d\d warn {2}recovered {2}callsToRepeat=3 reason="two words" models=\["a","b"\]\n$/);
});

test("F2: an error has its message, and its stack on lines of their own", () => {
  const lines = readable(false, (log) => log.error({ err: new TypeError("no number") }, "failed")).split("\n");
  expect(lines[0]).toMatch(/ error failed {2}err.type=TypeError err.message="no number"$/);
  expect(lines[2]).toContain("log-lines.unit.test.ts");
});

test("F2: what comes from elsewhere cannot control the terminal", () => {
  const line = readable(false, (log) => log.info({ reason: "\u001b[31mred\u009b2J", name: "a\u001b[2Jb" }, "told"));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
  expect(line).not.toMatch(/[\u001b\u009b]/);
  expect(readable(true, (log) => log.info("told"))).toContain("\u001b[32minfo ");
});

test("what is no line of the log stays as it is", () => {
  expect(readableLine("no JSON\n", true)).toBe("no JSON\n");
});
