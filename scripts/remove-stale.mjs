// Removes what an earlier build made of sources that no longer exist, so that `npm pack` does not ship it.
//   node scripts/remove-stale.mjs             after the build of the service
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

for (const path of readdirSync("dist", { recursive: true, encoding: "utf8" })) {
  // Only the compiler writes declarations, so other files in dist stay.
  if (!path.endsWith(".d.ts")) continue;
  const name = path.slice(0, -".d.ts".length);
  if (existsSync(join("src", `${name}.ts`))) continue;
  for (const ending of [".d.ts", ".js", ".js.map"]) rmSync(join("dist", name + ending), { force: true });
}
