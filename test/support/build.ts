// Brings `dist` up to date before any test runs: tests run the compiled service. The build is incremental, so that it takes
// about a second where nothing has changed.
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";

export default function build(): void {
  const root = resolve(import.meta.dirname, "../..");
  execFileSync("npm", ["run", "--silent", "build"], { cwd: root, stdio: "inherit" });
}
