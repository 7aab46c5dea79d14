// Every command explains itself: two or three examples, and --json unless it runs a server. The pages name no other command.
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { createProgram } from "../../src/cli/program.ts";
import { maskSecrets } from "../../src/config/secret-hider.ts";

const withSubcommands = (command: Command, path = ""): [string, Command][] => {
  const name = `${path} ${command.name()}`.trim();
  return [[name, command], ...command.commands.flatMap((each) => withSubcommands(each, name))];
};
const commands = withSubcommands(createProgram());

const script: string = resolve(import.meta.dirname, "../../scripts/check-phrases.mjs");
const { findPhrases } = await import(script);

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part), writeErr: (part) => (text += part) });
  command.outputHelp();
  return text;
}

test.each(commands)("%s --help has examples of this very command, and short lines", (name, command) => {
  const help = helpOf(command);
  const examples = help
    .slice(help.indexOf("\nExamples:\n"))
    .split("\n")
    .filter((line) => line.includes("sluice "));
  expect(examples.length).toBeGreaterThanOrEqual(2);
  expect(examples.filter((line) => line.includes(name)).length).toBeGreaterThanOrEqual(2);
  expect(findPhrases(help)).toEqual([]);
  expect(help.split("\n").filter((line) => line.length > 80)).toEqual([]);
});

test("the help of a command is not mistaken for an address with a password", () => {
  for (const [name, command] of commands) expect(maskSecrets(helpOf(command)), name).toBe(helpOf(command));
});

test("every command that prints a result takes --json", () => {
  const servers = ["serve", "api", "worker", "simulate"];
  const without = commands
    .filter(([, { commands: subcommands }]) => subcommands.length === 0)
    .filter(([, { options }]) => !options.some(({ long }) => long === "--json"));
  expect(without.map(([name]) => name)).toEqual(servers.map((name) => `sluice ${name}`));
});

test("every command line of a page is one of a command, with options that it has", () => {
  const root = resolve(import.meta.dirname, "../..");
  const docs = readdirSync(resolve(root, "docs")).filter((name) => name.endsWith(".md"));
  const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...docs.map((name) => `docs/${name}`)];
  const lines = pages.flatMap((page) => linesIn(readFileSync(resolve(root, page), "utf8")).map((line) => [page, line]));
  expect(lines.length).toBeGreaterThan(100);
  expect(lines.filter(([, line]) => mistakeIn(line!) !== undefined).map((found) => found.join(": "))).toEqual([]);
});

/** Returns the command lines in a page's code: in spans, and in lines of blocks, where a backslash joins lines. */
function linesIn(page: string): string[] {
  const blocks = [...page.matchAll(/^ *```sh\n(.*?)^ *```$/gms)].map(([, block]) => block!.replaceAll("\\\n", " "));
  const spans = [...page.replace(/^ *(```+)[^\n]*\n.*?^ *\1$/gms, "").matchAll(/`([^`]+)`/g)].map(([, span]) => span!);
  return [...blocks.flatMap((block) => block.split("\n")), ...spans].flatMap((line) =>
    [...line.matchAll(/(?:^|[;&|(] *|[A-Z_]+=\S* )(?:npx |npm run --silent )?sluice(?: --)?((?: [^;&|)#]+)?)/g)].map(
      ([, rest]) => rest!.trim(),
    ),
  );
}

/** Returns the word that makes a command line wrong, or undefined. */
function mistakeIn(line: string): string | undefined {
  const words: readonly string[] = line.match(/"[^"]*"|\S+/g) ?? [];
  let command = commands[0]![1];
  for (const word of words) {
    const next = command.commands.find((each) => each.name() === word);
    if (!next) break;
    command = next;
  }
  const known = [...command.options.flatMap(({ long, short }) => [long, short]), "--help", "-h", "-v", "--version"];
  const option = words.find((word) => word.startsWith("-") && word.length > 1 && !known.includes(word.split("=")[0]!));
  if (option !== undefined) return option;
  // A command with subcommands may have options of its own, but takes no other words.
  const behind = words[words.indexOf(command.name()) + 1];
  return command.commands.length === 0 || behind === undefined || behind.startsWith("-") ? undefined : line;
}
