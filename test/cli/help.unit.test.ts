// Every command explains itself: two or three examples, and --json unless it runs a server.
import type { Command } from "commander";
import { expect, test } from "vitest";
import { createProgram } from "../../src/cli/program.ts";

const withSubcommands = (command: Command, path = ""): [string, Command][] => {
  const name = `${path} ${command.name()}`.trim();
  return [[name, command], ...command.commands.flatMap((each) => withSubcommands(each, name))];
};
const commands = withSubcommands(createProgram());

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
  expect(help).not.toMatch(/\b(whoever|nobody|somebody|anybody|for ever)\b/i);
});

test("every command that prints a result takes --json", () => {
  const servers = ["serve", "api", "worker", "simulate"];
  const without = commands
    .filter(([, { commands: subcommands }]) => subcommands.length === 0)
    .filter(([, { options }]) => !options.some(({ long }) => long === "--json"));
  expect(without.map(([name]) => name)).toEqual(servers.map((name) => `sluice ${name}`));
});
