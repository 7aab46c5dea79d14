// sluice serve: the real command from start to stop.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { type RunOptions, run, start } from "./support.ts";

// Every command is a process of its own, and they share the machine with the other tests.
vi.setConfig({ testTimeout: 120_000 });

/** A working directory of its own, so that `data` is in it and no sluice.yaml is found. */
function workingDirectory(): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-serve-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function serve(options: RunOptions) {
  const service = start(["serve"], { ...options, env: { PORT: "0", SLUICE_LOG_LEVEL: "warn", ...options.env } });
  const [, url] = await service.printed(/Sluice is ready on (\S+)/);
  return { ...service, url: url! };
}

test("says where everything is and that the text is synthetic; one client command after the other; SIGTERM ends it", async () => {
  const cwd = workingDirectory();
  const { url, ended, child } = await serve({ cwd });
  const env = { SLUICE_URL: url };

  const answer = await run(["enqueue", "Why is the sky blue?", "--environment", "UAT", "--wait", "--json"], { env });
  expect(answer.code, answer.stderr).toBe(0);
  const job = JSON.parse(answer.stdout);
  expect(job).toMatchObject({ status: "completed", environment: "UAT", synthetic: true });
  expect(job.deployment).toMatch(/^simulator\//);
  expect((await run(["status", job.job_id], { env })).stdout).toContain(job.text);
  expect((await run(["enqueue", " ", "--environment", "UAT"], { env })).stderr).toMatch(
    /^invalid_request: prompt must not/,
  );

  child.kill("SIGTERM");
  const { code, stdout } = await ended;
  expect(code).toBe(0);
  expect(stdout).toBe(
    [
      `Sluice is ready on ${url}`,
      `  Dashboard      ${url}/ui/`,
      `  API docs       ${url}/docs`,
      `  Data           ${join(cwd, "data")}`,
      "  Configuration  defaults",
      "  Models         llama3-3-70b (default), nova-2-lite",
      "  Answers        THE BUILT-IN SIMULATOR: all text is synthetic. With AWS credentials, Bedrock answers.",
      "",
    ].join("\n"),
  );
  expect(existsSync(join(cwd, "data", "SSP-dev.sqlite"))).toBe(true);
});

test("says which models Bedrock will refuse, before the first call is", async () => {
  const cwd = workingDirectory();
  const modelId = "us.meta.llama3-1-405b-instruct-v1:0";
  writeFileSync(
    join(cwd, "sluice.yaml"),
    JSON.stringify({
      models: { big: { deployments: ["us-east-1", "us-west-2"].map((region) => ({ region, modelId })) } },
    }),
  );
  const env = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", SLUICE_LOG_LEVEL: "silent" };
  const { child, ended } = await serve({ cwd, env });
  child.kill("SIGTERM");
  expect((await ended).stdout.split("\n").filter((line) => line.includes("Attention"))).toEqual([
    `  Attention      big: ${modelId} reached its end of life on 2026-07-07; calls will be refused. No alternative is configured.`,
  ]);
});

test("a second process on the same data folder, or the same port, is one clear line and exit code 1", async () => {
  const cwd = workingDirectory();
  const { url, ended, child } = await serve({ cwd });

  const sameFolder = await run(["serve"], { cwd, env: { PORT: "0" } });
  expect(sameFolder).toMatchObject({ code: 1, stdout: "" });
  expect(sameFolder.stderr).toMatch(new RegExp(`^The data folder ${cwd}/data is in use by .*PID ${child.pid}.*\n$`));

  const { port } = new URL(url);
  const samePort = await run(["serve"], { cwd: workingDirectory(), env: { PORT: port } });
  expect(samePort).toMatchObject({ code: 1, stdout: "" });
  expect(samePort.stderr).toBe(
    `Port ${port} on 127.0.0.1 is in use, perhaps by another Sluice. Stop that process, or choose another port with PORT.\n`,
  );

  child.kill("SIGINT");
  expect(await ended).toMatchObject({ code: 0 });
});

test("two SIGINTs at once, as `npm run dev` makes of Ctrl-C, are one; a later one exits at once", async () => {
  const stall = { SLUICE_PROVIDER: "bedrock", AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" };
  const simulator = start(["simulate", "--port", "0", "--latency-ms", "600000"]);
  const [, endpoint] = await simulator.printed(/AWS_ENDPOINT_URL_BEDROCK_RUNTIME=(\S+)/);
  const env = { ...stall, AWS_ENDPOINT_URL_BEDROCK_RUNTIME: endpoint! };
  const { url, child, printed } = await serve({ cwd: workingDirectory(), env });
  // The start shows that the endpoint is not the one of AWS.
  expect((await printed(/Answers +(.*)/))[1]).toBe(`Amazon Bedrock (us-east-1) at ${endpoint}`);
  const { stdout } = await run(["enqueue", "p", "--environment", "UAT"], { env: { SLUICE_URL: url } });
  const jobId = stdout.trim();
  await expect
    .poll(async () => ((await (await fetch(`${url}/status/${jobId}`)).json()) as { status: string }).status, {
      timeout: 20_000,
    })
    .toBe("in_progress");

  child.kill("SIGINT");
  child.kill("SIGINT");
  // It takes nothing more but waits for the call that runs.
  await expect.poll(() => fetch(url).catch(() => "closed"), { timeout: 20_000 }).toBe("closed");
  expect(child.exitCode).toBeNull();
  // A signal that arrives while the process is exiting would end it without a code, so the presses keep apart.
  const pressAgain = () => {
    if (child.exitCode === null) child.kill("SIGINT");
    return child.exitCode;
  };
  await expect.poll(pressAgain, { timeout: 20_000, interval: 1_000 }).toBe(130);
});

test("says which version it is", async () => {
  const { version } = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../package.json"), "utf8"));
  for (const option of ["--version", "-v"]) {
    expect(await run([option])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
  }
});

test("a wrong configuration is one message and exit code 1, and nothing is written", async () => {
  const cwd = workingDirectory();
  writeFileSync(join(cwd, "sluice.yaml"), "port: 123456\n");
  const result = await run(["serve"], { cwd });
  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toBe(
    `There is a mistake in the configuration (${join(cwd, "sluice.yaml")}):\n` +
      "  port must be an integer between 0 and 65535; got 123456 (line 1)\n",
  );
  expect(existsSync(join(cwd, "data"))).toBe(false);
});

test("no credentials beside a configuration file: what to do, and exit code 1", async () => {
  const cwd = workingDirectory();
  writeFileSync(join(cwd, "sluice.yaml"), "port: 0\n");
  const result = await run(["serve"], { cwd });
  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toMatch(/^No AWS credentials were found/);
});

test("a data folder that cannot be written to, an address that is not ours: one line each", async () => {
  const cwd = workingDirectory();
  mkdirSync(join(cwd, "somewhere"));
  writeFileSync(join(cwd, "somewhere/file"), "");
  const folder = await run(["serve", "--data-dir", "somewhere/file"], { cwd, env: { PORT: "0" } });
  expect(folder).toMatchObject({ code: 1, stdout: "" });
  expect(folder.stderr).toMatch(/^The data folder .*somewhere\/file cannot be used: .*\n$/);
  // The system says that the folder above is not there, and it is.
  const nowhere = await run(["serve"], { cwd, env: { PORT: "0", SLUICE_DATA_DIR: "/proc/x/y" } });
  expect(nowhere).toMatchObject({ code: 1, stdout: "" });
  expect(nowhere.stderr).toMatch(
    /^The data folder \/proc\/x\/y cannot be used: .* or choose another one \(SLUICE_DATA_DIR\)\.\n$/,
  );

  const env = { AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" };
  const address = await run(["serve", "--host", "192.0.2.1", "--port", "0"], { cwd, env });
  expect(address).toMatchObject({ code: 1, stdout: "" });
  expect(address.stderr).toMatch(/^Cannot listen on 192\.0\.2\.1, port 0 \(HOST, PORT\): .*EADDRNOTAVAIL.*\n$/);
});
