// sluice simulate: a Bedrock Runtime on this machine with its quota rules, to try and test clients.
import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { parse } from "yaml";
import { faultKinds, parseFaultRule, parseOutage } from "../simulator/fault-rules.ts";
import { dataOptions, parseForeignTraffic, type SimulatorOptions } from "../simulator/options.ts";
import { startSimulator } from "../simulator/simulator.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { decimal, wholeNumber } from "./numbers.ts";
import { stopOnSignal } from "./stop-signals.ts";

/** Options of the simulator with a flag of the same name, and options that several flags make up. */
interface SimulateOptions extends Omit<SimulatorOptions, "clock" | "fault" | "faults" | "foreignTraffic"> {
  options?: string;
  fault?: SimulatorOptions["faults"];
  outage?: SimulatorOptions["faults"];
  foreign?: SimulatorOptions["foreignTraffic"];
  credentials?: string;
}

const defaultHost = "127.0.0.1";
const defaultPort = 9_000;

const count = wholeNumber(1, 1_000_000_000_000);

export function simulateCommand(): Command {
  return new Command("simulate")
    .description("Answer like Amazon Bedrock on this machine: synthetic text, real quotas and errors.")
    .option("--host <address>", `address to listen on (default: ${defaultHost})`)
    .option("--port <port>", `port to listen on, 0 for any free one (default: ${defaultPort})`, wholeNumber(0, 65_535))
    .option("--options <file>", "JSON or YAML file with the simulator's options; options of the command line win")
    .optionsGroup("Quotas:")
    .option("--requests-per-minute <n>", "quota of each model in each Region (default: none)", count)
    .option("--tokens-per-minute <n>", "quota of each model in each Region (default: none)", count)
    .option("--tokens-per-day <n>", "quota of all models of a Region together (default: none)", count)
    .addOption(
      new Option("--window <kind>", "how quotas of a minute are counted (default: sliding)").choices([
        "fixed",
        "sliding",
        "bucket",
      ]),
    )
    .option(
      "--foreign <traffic>",
      "another program that draws on the same quotas, as requestsPerMinute=60,tokensPerRequest=1000; also region, modelId, fromMs, untilMs; may be repeated",
      gather(parseForeignTraffic),
    )
    .optionsGroup("Answers:")
    .option("--latency-ms <ms>", "time to the first token (default: 0)", decimal(0, 3_600_000))
    .option("--jitter-ms <ms>", "requests travel up to this long (default: 0)", decimal(0, 3_600_000))
    .option("--tokens-per-second <n>", "speed of generation (default: at once)", decimal(0.001, 1_000_000_000))
    .option("--seed <n>", "varies texts and everything else that looks random (default: 1)", wholeNumber(0, 2 ** 32))
    .optionsGroup("Faults:")
    .option("--throttle-every <n>", "answer every n-th call with 429 ThrottlingException", count)
    .option("--unavailable-every <n>", "answer every n-th call with 503 ServiceUnavailableException", count)
    .option("--cut-every <n>", "cut the connection of every n-th call", count)
    .option(
      "--fault <rule>",
      `a kind, then its fields and when it applies, as stall,afterEvents=2,every=5; may be repeated. Kinds: ${faultKinds.join(", ")}`,
      gather(parseFaultRule),
    )
    .option(
      "--outage <region>",
      "503 for a Region, always or as us-east-1:10-30 from the tenth to the thirtieth second; may be repeated",
      gather(parseOutage),
    )
    .optionsGroup("Credentials:")
    .option(
      "--credentials <key:secret>",
      "accept only requests signed with these, as ACCESS_KEY_ID:SECRET_ACCESS_KEY (default: any)",
    )
    .addHelpText(
      "after",
      `
Examples:
  sluice simulate --requests-per-minute 3
  AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://127.0.0.1:9000 \\
    AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local sluice serve

  A Region that fails from the tenth to the thirtieth second, and a stream in
  ten that falls silent:
    sluice simulate --outage us-east-1:10-30 \\
      --fault stall,afterEvents=3,share=0.1
  Another program takes half of the tokens, from the second minute on:
    sluice simulate --tokens-per-minute 400000 \\
      --foreign requestsPerMinute=200,tokensPerRequest=1000,fromMs=60000
  The model is overloaded now and then; the 429 is not about the quota:
    sluice simulate --fault "error,error=ThrottlingException,\\
message=Model is currently overloaded. Please try again later.,every=7"

For the received requests and the use of quotas: GET /__simulator/journal and
GET /__simulator/quotas.`,
    )
    .action(simulate);
}

async function simulate(options: SimulateOptions): Promise<void> {
  const resolved = toSimulatorOptions(options);
  const simulator = await startSimulator(resolved).catch((error: NodeJS.ErrnoException) => {
    if (error instanceof RangeError) throw new CommandError(error.message);
    if (error.code === "EADDRINUSE") {
      throw new CommandError(`Port ${resolved.port} on ${resolved.host} is in use. Choose another with --port.`);
    }
    if (error.syscall === "listen" || error.syscall === "getaddrinfo") {
      throw new CommandError(`Cannot listen on ${resolved.host}, port ${resolved.port}: ${error.message}`);
    }
    throw error;
  });
  const keys = [resolved.verifySignatures ?? []].flat()[0];
  console.log(`The simulator of Bedrock Runtime listens on ${simulator.url}; its text is synthetic.
Point the service or any AWS SDK at it:
  AWS_ENDPOINT_URL_BEDROCK_RUNTIME=${simulator.url}
  ${keys ? `AWS_ACCESS_KEY_ID=${keys.accessKeyId} and its secret` : "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"}
or any client of OpenAI's, with any key:
  OPENAI_BASE_URL=${simulator.url}/v1`);
  stopOnSignal(() => simulator.stop(), exitCodes.ok);
}

function toSimulatorOptions(flags: SimulateOptions): SimulatorOptions {
  const { options: file, fault = [], outage = [], foreign = [], credentials, ...plain } = flags;
  const fromFile: SimulatorOptions = file === undefined ? {} : readOptions(file);
  return {
    host: defaultHost,
    port: defaultPort,
    ...fromFile,
    ...plain,
    faults: [...outage, ...fault, ...(fromFile.faults ?? [])],
    foreignTraffic: [...foreign, ...(fromFile.foreignTraffic ?? [])],
    ...(credentials !== undefined && { verifySignatures: readCredentials(credentials) }),
  };
}

function readOptions(file: string): SimulatorOptions {
  let parsed: unknown;
  try {
    parsed = parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new CommandError(`Cannot read the options in ${file}: ${error instanceof Error ? error.message : error}`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new CommandError(`${file} must hold the simulator's options by name: ${dataOptions.join(", ")}.`);
  }
  return parsed;
}

function readCredentials(text: string): { accessKeyId: string; secretAccessKey: string } {
  const at = text.indexOf(":");
  // The message must not have the text, because it may be a secret.
  if (at < 1 || at === text.length - 1) {
    throw new CommandError("--credentials must be ACCESS_KEY_ID:SECRET_ACCESS_KEY.");
  }
  return { accessKeyId: text.slice(0, at), secretAccessKey: text.slice(at + 1) };
}

/** Returns a parser for an option that may be repeated. */
function gather<T>(parseOne: (text: string) => T): (text: string, previous: T[] | undefined) => T[] {
  return (text, previous = []) => {
    try {
      return [...previous, parseOne(text)];
    } catch (error) {
      if (error instanceof RangeError) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}
