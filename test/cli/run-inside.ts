// Runs a command line of `sluice` inside the test's own process, which takes milliseconds instead of a second.
import { vi } from "vitest";
import { runProgram } from "../../src/cli/program.ts";

export interface Printed {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `sluice ...args` with these variables, as if neither output were a terminal. */
export async function sluice(args: readonly string[], env: Record<string, string> = {}): Promise<Printed> {
  let stdout = "";
  let stderr = "";
  const { exitCode } = process;
  process.exitCode = undefined;
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const toOut = (text: unknown) => {
    stdout += text;
    return true;
  };
  const toErr = (text: unknown) => {
    stderr += text;
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(toOut),
    vi.spyOn(process.stderr, "write").mockImplementation(toErr),
    vi.spyOn(console, "log").mockImplementation((text) => void toOut(`${text}\n`)),
    vi.spyOn(console, "error").mockImplementation((text) => void toErr(`${text}\n`)),
  ];
  try {
    await runProgram(args);
    return { code: Number(process.exitCode ?? 0), stdout, stderr };
  } finally {
    for (const spy of spies) spy.mockRestore();
    vi.unstubAllEnvs();
    process.exitCode = exitCode;
  }
}
