// Runs the compiler and the service for `npm run dev`, both watching. When one ends, or on a signal, both end.
import { spawn } from "node:child_process";

const commands = [
  ["node_modules/.bin/tsc", "-p", "tsconfig.build.json", "--watch", "--preserveWatchOutput"],
  [process.execPath, "--watch", "dist/cli/main.js", "serve"],
];
// Each has a process group of its own: the compiler starts another process, which a signal to the compiler alone would miss.
const children = commands.map(([file, ...args]) => spawn(file, args, { stdio: "inherit", detached: true }));
const end = (signal = "SIGTERM") => {
  for (const { pid } of children) {
    try {
      process.kill(-pid, signal);
    } catch {
      // It has ended.
    }
  }
};
for (const child of children) child.once("exit", () => end());
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => end(signal));
