// Loads the Lua scripts: one file per operation under lua/, whose header names its arguments and its result. Shared
// parts are under lua/shared/. A line of this form includes one:
//
//   --- @include "shared/quota"
//
// A file is included once, before the first file that names it. Lua allows 200 local variables in a script. So a file
// with the following line shares only the table that has its name:
//
//   --- @private
//
// The scripts are read when the first scheduler is created.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const folder = join(import.meta.dirname, "lua");

const operations = [
  "acquire",
  "enqueue",
  "update",
  "begin_rebuild",
  "configure",
  "distrust",
  "explain",
  "finish_rebuild",
  "reset_learned_limits",
  "open",
  "pause",
  "remove",
  "renew",
  "set_token_counts",
  "recharge",
  "restore",
  "reinstate",
  "settle",
  "snapshot",
  "list_uncounted",
  "set_tenant_weights",
] as const;

export type Operation = (typeof operations)[number];

export interface Script {
  readonly text: string;
  readonly sha1: string;
}

let loaded: Record<Operation, Script> | undefined;

/** Returns all scripts with what they include. */
export function loadScripts(): Record<Operation, Script> {
  loaded ??= Object.fromEntries(operations.map((name) => [name, load(name)])) as Record<Operation, Script>;
  return loaded;
}

function load(operation: string): Script {
  const text = assemble(join(folder, `${operation}.lua`), new Set()).join("\n");
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}

/** Returns the file's lines after those that it includes, without comments. */
function assemble(path: string, seen: Set<string>): string[] {
  if (seen.has(path)) return [];
  seen.add(path);
  const lines = readFileSync(path, "utf8").split("\n");
  const included = lines.flatMap((line) => {
    const name = /^--- @include "([\w/]+)"$/.exec(line)?.[1];
    return name === undefined ? [] : assemble(join(dirname(path), `${name}.lua`), seen);
  });
  const code = lines.filter((line) => !/^\s*--/.test(line) && line.trim() !== "");
  if (!lines.includes("--- @private")) return [...included, ...code];
  const shared = `local ${basename(path, ".lua")} = {}`;
  return [...included, shared, "do", ...code.filter((line) => line !== shared), "end"];
}
