#!/usr/bin/env node
// Entry of the command `sluice`: checks the version of Node before anything is loaded that an old one cannot parse. For the
// same reason it has no import of its own and no top-level await; what it needs of Node is there since version 12.
const needed = [20, 19] as const;

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < needed[0] || (major === needed[0] && minor < needed[1]);
}

if (isTooOld(process.versions.node)) {
  console.error(`Sluice needs Node ${needed.join(".")} or later; this is ${process.versions.node}.`);
  process.exitCode = 1;
} else {
  import("./program.ts").catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
