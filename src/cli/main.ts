#!/usr/bin/env node
// The entry of `sluice`. Checks the version of Node before it loads files that an old version cannot parse. For the same
// reason, this file has no static import and no top-level await, and uses only what Node has had since version 12.
const needed = [20, 19] as const;

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < needed[0] || (major === needed[0] && minor < needed[1]);
}

if (isTooOld(process.versions.node)) {
  console.error(`Sluice needs Node ${needed.join(".")} or later; this is ${process.versions.node}.`);
  process.exitCode = 1;
} else {
  // A reader such as head may stop before the end.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
  import("./program.ts")
    .then(({ runProgram }) => runProgram(process.argv.slice(2)))
    .then((failed) => {
      // At once, because a start that failed may have left timers and connections behind.
      if (failed) process.exit(1);
    })
    .catch((error: unknown) => {
      console.error(error);
      process.exitCode = 1;
    });
}
