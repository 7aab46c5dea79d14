// The compiler leaves alone what is not TypeScript: here it goes beside the compiled code as it is.
//   node scripts/copy-uncompiled.mjs          after the build of the service, into dist
//   node scripts/copy-uncompiled.mjs bench    after that of the benchmarks, which is laid out as the sources are
import { cpSync } from "node:fs";

const lua = "scheduler/redis/lua";
const copies =
  process.argv[2] === "bench"
    ? [`src/${lua}`, "package.json", "test/support/ferretdb"].map((path) => [path, `bench/compiled/${path}`])
    : [[`src/${lua}`, `dist/${lua}`]];
for (const [from, to] of copies) cpSync(from, to, { recursive: true });
