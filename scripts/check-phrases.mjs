// Finds phrases that hide who does what, or that a native reader would read twice. `npm run lint` checks everything;
// `node scripts/check-phrases.mjs src/jobs` checks one folder.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Each phrase as a pattern, without regard to case, and what to write instead. A space stands for any gap, such as a new line. */
const phrases = [
  ["whoever", 'name who it is, such as "the caller" or "a worker that"'],
  ["nobody|somebody|anybody", 'name who it is, such as "no worker" or "another process"'],
  ["for ever", 'write "forever", "indefinitely" or "without a limit"'],
  ["(is|are|was|were|be|been) told of", 'write "learns of", or say who notifies it'],
  ["(is|are|was|were|be|been) looked for", 'say who searches, such as "Sluice looks for"'],
  ["of the making", 'write "when it is created"'],
  ["(lie|lies|lay|laid) ready", 'write "staged"'],
  ["made real", 'write "committed"'],
  ["(go|goes|went|gone) well", 'write "succeeds"'],
  ["(is|are|was|were|be|been) away", 'write "is unavailable" or "disconnected"'],
];

/** Text that others wrote and that a file quotes, by file. */
const quoted = {
  // SQL of a released migration, which never changes.
  "src/store/sqlite/sqlite-schema.ts": ["for ever if nobody knows"],
};

/** Files about these phrases. */
const exempt = ["scripts/check-phrases.mjs", "test/repository/check-phrases.unit.test.ts"];

const gap = String.raw`(?:\s|//|--|#|\*)+`;
const patterns = phrases.map(([phrase, suggestion]) => ({
  pattern: new RegExp(String.raw`\b(?:${phrase.replaceAll(" ", gap)})\b`, "gi"),
  suggestion,
}));

/** Returns the phrases in a text, in the order of its lines. */
export function findPhrases(text, allowed = []) {
  const without = allowed.reduce((rest, quote) => rest.replaceAll(quote, (all) => all.replace(/\S/g, "_")), text);
  return patterns
    .flatMap(({ pattern, suggestion }) =>
      [...without.matchAll(pattern)].map(({ 0: found, index }) => ({
        line: without.slice(0, index).split("\n").length,
        phrase: found.replace(new RegExp(gap, "g"), " "),
        suggestion,
      })),
    )
    .sort((a, b) => a.line - b.line);
}

function checkFiles(paths) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ...paths], {
    cwd: root,
    encoding: "utf8",
  });
  const isText = /\.(md|ts|tsx|mjs|cjs|lua|py|sh|ya?ml)$|^\.ci\/run$|Dockerfile$/;
  const files = listed
    .split("\0")
    .filter((file) => isText.test(file) && !exempt.includes(file) && existsSync(resolve(root, file)));
  let count = 0;
  for (const file of files) {
    for (const { line, phrase, suggestion } of findPhrases(readFileSync(resolve(root, file), "utf8"), quoted[file])) {
      console.log(`${file}:${line}: "${phrase}": ${suggestion}`);
      count++;
    }
  }
  return count;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const paths = process.argv.slice(2);
  if (checkFiles(paths.length > 0 ? paths : ["."]) > 0) process.exitCode = 1;
}
