// What an error looks like in the log.
import { expect, test } from "vitest";
import { SluiceError } from "../../src/domain/errors.ts";
import { createLog } from "../../src/service/log.ts";

function logged(err: unknown) {
  const lines: string[] = [];
  createLog("info", { write: (line) => lines.push(line) }).warn({ err }, "it went wrong");
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0]!);
}

test("an outage is one short line: what is unreachable, and the last reason once", () => {
  const cause = new Error("connect ECONNREFUSED 127.0.0.1:27017", { cause: new Error("connect ECONNREFUSED") });
  const error = new SluiceError("unavailable", "MongoDB cannot be reached: connect ECONNREFUSED.", {}, { cause });
  const line = logged(error);
  expect(line).toMatchObject({ level: 40, msg: "it went wrong" });
  expect(line.err).toEqual({
    type: "SluiceError",
    code: "unavailable",
    message: "MongoDB cannot be reached: connect ECONNREFUSED.",
  });
});

test.each([
  ["a mistake of ours", new SluiceError("internal", "Something went wrong.", {}, { cause: new Error("inner cause") })],
  ["anything else", new TypeError("undefined is not a function", { cause: new Error("inner cause") })],
])("%s is there with its stack and its cause", (_name, error) => {
  const { err } = logged(error);
  expect(err.stack).toContain("log.unit.test.ts");
  expect(err.stack).toContain("inner cause");
});

test("E1: a secret of the environment is hidden, wherever an error carries it", () => {
  process.env.REDIS_URL = "redis://u:hunter2%2Fx@127.0.0.1";
  try {
    const error = Object.assign(new Error("WRONGPASS"), { command: { name: "auth", args: ["u", "hunter2/x"] } });
    expect(JSON.stringify(logged(error))).not.toContain("hunter2");
    expect(logged(error).err.command.args).toEqual(["u", "***"]);
  } finally {
    delete process.env.REDIS_URL;
  }
});
