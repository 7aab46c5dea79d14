// Builds the dashboard into dist/web, unless its sources have not changed since the last build.
//   node scripts/build-web.mjs
// A service that runs reads these files, so the new ones replace the old ones as a whole.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";

const target = "dist/web";
const inputs = ["package-lock.json", "tsconfig.json", ...filesIn("web")];
const hash = createHash("sha256");
for (const path of inputs) hash.update(path).update("\0").update(readFileSync(path));
const digest = hash.digest("hex");
const stamp = join(target, ".inputs");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== digest) {
  const unfinished = `${target}.${process.pid}`;
  const old = `${unfinished}.old`;
  await build({ root: "web", logLevel: "warn", build: { outDir: join(process.cwd(), unfinished) } });
  writeFileSync(join(unfinished, ".inputs"), digest);
  if (existsSync(target)) renameSync(target, old);
  renameSync(unfinished, target);
  rmSync(old, { recursive: true, force: true });
}

function filesIn(folder) {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? filesIn(path) : [path];
    });
}
