// `npm run dev`: the compiler and the service side by side, both watching. When one ends, or a signal comes, both end.
import { spawn } from "node:child_process";

const commands = [
  ["node_modules/.bin/tsc", "-p", "tsconfig.build.json", "--watch", "--preserveWatchOutput"],
  [process.execPath, "--watch", "dist/cli/main.js", "serve"],
];
// Each in a group of its own: the compiler starts another process, which a signal to it alone would leave behind.
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
