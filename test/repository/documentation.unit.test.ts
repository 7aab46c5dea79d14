// Holds the README to its length, and every link of the documentation to a page and a heading that exist.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...["docs", ".github"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name)),
  ),
];

/** Returns a page without its code blocks, where a line that looks like a heading or a link is neither. */
function proseOf(page: string): string {
  return readFileSync(join(root, page), "utf8").replace(/^ *(```+)[^\n]*\n.*?^ *\1$/gms, "");
}

/** Returns the anchors that GitHub gives to the headings of a page. */
function anchorsOf(page: string): string[] {
  return [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function linksOf(page: string): string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link));
}

test("the README has at most 200 lines", () => {
  expect(readFileSync(join(root, "README.md"), "utf8").trimEnd().split("\n").length).toBeLessThanOrEqual(200);
});

test("every link leads to a file of the repository, and to a heading of a page", () => {
  const files = new Set(
    readdirSync(root, { recursive: false, encoding: "utf8" }).concat(
      ["docs", "src", "test", ".github"].flatMap((folder) =>
        readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
      ),
    ),
  );
  const broken = pages.flatMap((page) =>
    linksOf(page)
      .filter((link) => {
        const [path, anchor] = link.split("#");
        const target = path === "" ? page : relative(root, resolve(root, dirname(page), path!));
        return !files.has(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
      })
      .map((link) => `${page}: ${link}`),
  );
  expect(broken).toEqual([]);
});

test("the README leads to every page of docs", () => {
  const linked = linksOf("README.md").map((link) => link.split("#")[0]);
  const ours = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  expect(ours.filter((name) => !linked.includes(`docs/${name}`))).toEqual([]);
});

test("the index of decisions lists every record with its title, date and status", () => {
  const folder = join(root, "docs/decisions");
  const records = readdirSync(folder).filter((name) => name !== "README.md");
  const rows = records.map((name) => {
    const text = readFileSync(join(folder, name), "utf8");
    const [, title, date, status] = /^# (.+)\n\nDate: (\d{4}-\d{2}-\d{2})\. Status: (.+?)[.\n]/.exec(text) ?? [];
    return `| [${title}](${name}) | ${date} | ${status} |`;
  });
  const listed = readFileSync(join(folder, "README.md"), "utf8").match(/^\| \[.*$/gm)!;
  expect([...listed].sort()).toEqual(rows.sort());
});

test("the files and names that pages mention exist", () => {
  const folders = ["src", "test", "docs", "bench", "scripts", ".github"];
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  );
  const pathsOf = (page: string) =>
    [...proseOf(page).matchAll(/`((?:src|test|docs|bench|scripts|\.github)\/[\w./*-]+)`/g)].map(([, path]) => path!);
  const exists = (path: string) => {
    const pattern = new RegExp(`^${path.replace(/\/$/, "").replaceAll(".", "\\.").replaceAll("*", "[^/]*")}$`);
    return files.some((file) => pattern.test(file));
  };
  // A decision may name files that are gone.
  const missing = pages
    .filter((page) => !page.startsWith("docs/decisions/"))
    .flatMap((page) =>
      pathsOf(page)
        .filter((path) => !/NAME|FILE/.test(path) && !exists(path))
        .map((path) => `${page}: ${path}`),
    );
  expect(missing).toEqual([]);

  const [, table] = /^## Where to look\n\n(.*?)\n\n/ms.exec(proseOf("docs/architecture.md"))!;
  const sources = files
    .filter((file) => /^src\/.*\.ts$/.test(file))
    .map((file) => readFileSync(join(root, file), "utf8"))
    .join("\n");
  const names = [...table!.matchAll(/`(\w+|[\w-]+\.ts)`/g)].map(([, name]) => name!);
  const known = (name: string) =>
    name.endsWith(".ts") ? files.some((file) => file.endsWith(`/${name}`)) : new RegExp(`\\b${name}\\b`).test(sources);
  expect(names.filter((name) => !known(name))).toEqual([]);
});

test("docs/command-line.md has every command", () => {
  const sources = readdirSync(join(root, "src/cli")).map((name) => readFileSync(join(root, "src/cli", name), "utf8"));
  const commands = sources.flatMap((text) => [...text.matchAll(/new Command\("([\w-]+)"\)/g)].map(([, name]) => name!));
  const page = readFileSync(join(root, "docs/command-line.md"), "utf8");
  expect(commands.length).toBeGreaterThan(10);
  expect(commands.filter((name) => !new RegExp(`\\b${name}\\b`).test(page))).toEqual([]);
});
