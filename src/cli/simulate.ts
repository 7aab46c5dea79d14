// sluice simulate: a Bedrock Runtime on this machine, with its quota rules, for trying out and testing clients.
import { Command, Option } from "commander";
import { startSimulator } from "../simulator/simulator.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { decimal, wholeNumber } from "./numbers.ts";
import { stopOnSignal } from "./signals.ts";

interface SimulateOptions {
  host: string;
  port: number;
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  window: "fixed" | "sliding" | "bucket";
  latencyMs: number;
  tokensPerSecond?: number;
  throttleEvery?: number;
  unavailableEvery?: number;
  cutEvery?: number;
}

const count = wholeNumber(1, 1_000_000_000);

export function simulateCommand(): Command {
  return new Command("simulate")
    .description("Answer like Amazon Bedrock on this machine: synthetic text, real quotas and errors.")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on, 0 for any free one", wholeNumber(0, 65_535), 9000)
    .option("--requests-per-minute <n>", "quota of each model in each Region (default: none)", count)
    .option("--tokens-per-minute <n>", "quota of each model in each Region (default: none)", count)
    .addOption(
      new Option("--window <kind>", "how quotas are counted")
        .choices(["fixed", "sliding", "bucket"])
        .default("sliding"),
    )
    .option("--latency-ms <ms>", "time to the first token", decimal(0, 3_600_000), 0)
    .option("--tokens-per-second <n>", "speed of generation (default: at once)", decimal(0.001, 1_000_000_000))
    .option("--throttle-every <n>", "answer every n-th call with 429 ThrottlingException", count)
    .option("--unavailable-every <n>", "answer every n-th call with 503 ServiceUnavailableException", count)
    .option("--cut-every <n>", "cut the connection of every n-th call", count)
    .addHelpText(
      "after",
      `
Examples:
  sluice simulate --requests-per-minute 3
  AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://127.0.0.1:9000 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local sluice serve`,
    )
    .action(simulate);
}

async function simulate(options: SimulateOptions): Promise<void> {
  const simulator = await startSimulator(options).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EADDRINUSE") {
      throw new CommandError(`Port ${options.port} on ${options.host} is in use. Choose another with --port.`);
    }
    if (error.syscall === "listen" || error.syscall === "getaddrinfo") {
      throw new CommandError(`Cannot listen on ${options.host}, port ${options.port}: ${error.message}`);
    }
    throw error;
  });
  console.log(`The simulator of Bedrock Runtime listens on ${simulator.url}; its text is synthetic.
Point the service or any AWS SDK at it:
  AWS_ENDPOINT_URL_BEDROCK_RUNTIME=${simulator.url}
  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local`);
  stopOnSignal(() => simulator.stop(), exitCodes.ok);
}
