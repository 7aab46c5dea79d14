// Copies what the compiler leaves alone, which is what is not TypeScript, to the compiled code.
//   node scripts/copy-uncompiled.mjs          after the build of the service, into dist
//   node scripts/copy-uncompiled.mjs bench    after the build of the benchmarks, which is laid out as the sources are
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const lua = "scheduler/redis/lua";
const copies =
  process.argv[2] === "bench"
    ? [`src/${lua}`, "package.json", "test/support/ferretdb"].map((path) => [path, `bench/compiled/${path}`])
    : [[`src/${lua}`, `dist/${lua}`]];
for (const [from, to] of copies) copy(from, to);

/**
 * A process that starts while another one builds reads the copies. A copy therefore stays as it is if it is up to date, is
 * replaced in one step if it is not, and is never missing in between.
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
