// sluice doctor: checks the configuration and everything that it names, and says what to do.
import { Command } from "commander";
import type { Finding, FindingStatus } from "../service/doctor/findings.ts";
import { exitCodes } from "./exit-codes.ts";
import { several } from "./formats.ts";
import { printJson } from "./output.ts";
import { type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { columnsOf, fill, oneLine, paintFor, widthOf, wrapped } from "./terminal.ts";

interface DoctorOptions extends ServiceOptions {
  config?: string;
  dataDir?: string;
  callModels?: boolean;
}

export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description("Check configuration, credentials, models, quotas, Redis, MongoDB, disk and service. Says what to do.")
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it exists)")
    .option("--data-dir <folder>", "folder with the SQLite files (SLUICE_DATA_DIR; default: data)")
    .option("--call-models", "make one call of one token to each deployment, which costs a little");
  return withServiceOptions(command)
    .addHelpText(
      "after",
      `
Reads the same configuration as sluice serve, and changes nothing. Run it where
the service runs, as the same user. Each line is ok, a note, skipped, or says
what to fix; then the exit code is 1.

Examples:
  sluice doctor
  sluice doctor --config /etc/sluice.yaml --call-models
  sluice doctor --json | jq '.findings[] | select(.status == "fix")'`,
    )
    .action(doctor);
}

async function doctor({ url, json, config, dataDir, callModels = false }: DoctorOptions): Promise<void> {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  // Loaded only here, because other commands need not wait for it.
  const { runDoctor } = await import("../service/doctor/run-doctor.ts");
  const args = { ...(config !== undefined && { config }), ...(dataDir !== undefined && { dataDir }) };
  const findings = await runDoctor({ env: process.env, cwd: process.cwd(), args, serviceUrl: url, callModels });
  const problems = findings.filter(({ status }) => status === "fix").length;
  if (json) printJson({ ok: problems === 0, findings });
  else print(findings, problems);
  if (problems > 0) process.exitCode = exitCodes.error;
}

const colours = { ok: "green", fix: "red", note: "yellow", skip: "dim" } as const satisfies Record<
  FindingStatus,
  string
>;

function print(findings: readonly Finding[], problems: number): void {
  const { stdout } = process;
  const paint = paintFor(stdout);
  for (const { check, status, text } of findings) {
    const head = `${paint(colours[status], fill(status, 4))}  ${oneLine(check)}: `;
    const lines = text.split("\n").flatMap((line) => wrapped(oneLine(line), widthOf(stdout) - indent.length));
    // The name of a check and a short text share a line.
    const [first = "", ...rest] =
      columnsOf(head) + columnsOf(lines[0] ?? "") <= widthOf(stdout) ? lines : ["", ...lines];
    stdout.write(`${(head + first).trimEnd()}\n${rest.map((line) => `${indent}${line}\n`).join("")}`);
  }
  const sum =
    problems === 0 ? paint("green", "Nothing to fix.") : paint("red", `${several(problems, "problem")} to fix.`);
  stdout.write(`\n${sum}\n`);
}

const indent = " ".repeat(6);
