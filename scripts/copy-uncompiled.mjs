// Copies the files that are not TypeScript to the compiled code.
//   node scripts/copy-uncompiled.mjs          after the build of the service, into dist
//   node scripts/copy-uncompiled.mjs bench    after the build of the benchmarks, which has the layout of the sources
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const lua = "scheduler/redis/lua";
const copies =
  process.argv[2] === "bench"
    ? [`src/${lua}`, "package.json", "test/support/ferretdb"].map((path) => [path, `bench/compiled/${path}`])
    : [[`src/${lua}`, `dist/${lua}`]];
for (const [from, to] of copies) copy(from, to);

/**
 * Copies a file or folder. A process that starts during a build reads the copies. So a copy that is up to date stays, any
 * other is replaced in one step, and none is missing in between.
 */
function copy(from, to) {
  if (statSync(from).isDirectory()) {
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) copy(join(from, name), join(to, name));
    return;
  }
  const content = readFileSync(from);
  if (isCopy(to, content)) return;
  mkdirSync(dirname(to), { recursive: true });
  const unfinished = `${to}.${process.pid}`;
  writeFileSync(unfinished, content);
  renameSync(unfinished, to);
}

function isCopy(path, content) {
  try {
    return readFileSync(path).equals(content);
  } catch (error) {
    if (error.code === "ENOENT") return false;
    throw error;
  }
}
