// Runs the compiled `sluice` command as a child process.
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

/** The file that `sluice` runs. */
export const sluiceMain = resolve(import.meta.dirname, "../../dist/cli/main.js");

export interface SluiceProcess {
  child: ChildProcess;
  /** The address that it listens on; empty for a worker. */
  url: string;
}

/**
 * Starts `sluice ...args` and waits for its ready line. The caller ends the process.
 * @param options `cwd`, `env`
 * @param main the file of another installation
 * @throws Error with everything that it printed, if it ends before that line
 */
export function startSluice(args: string[], options: SpawnOptions, main = sluiceMain): Promise<SluiceProcess> {
  const child = spawn(process.execPath, [main, ...args], { ...options, stdio: ["ignore", "pipe", "pipe"] });
  process.once("exit", () => child.kill("SIGKILL"));
  return new Promise((started, failed) => {
    const printed: string[] = [];
    const read = (line: string) => {
      printed.push(line);
      const ready = /is ready(?: on (http:\S+))?/.exec(line);
      if (ready) started({ child, url: ready[1] ?? "" });
    };
    createInterface({ input: child.stdout! }).on("line", read);
    createInterface({ input: child.stderr! }).on("line", read);
    child.once("exit", (code) =>
      failed(new Error(`sluice ${args.join(" ")} ended with ${code}:\n${printed.join("\n")}`)),
    );
  });
}
