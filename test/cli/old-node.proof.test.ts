// What a Node says that is too old: which one Sluice needs.
import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { sluiceMain } from "../support/sluice-process.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const { engines } = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8"));

/** Runs a file in a process that takes itself for another version of Node. */
function runAs(version: string, file: string, ...args: string[]) {
  const versions = `{ value: { ...process.versions, node: "${version}" } }`;
  const pretend = `data:text/javascript,Object.defineProperty(process, "versions", ${versions})`;
  return run(process.execPath, ["--import", pretend, file, ...args]).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }) as { code: number; stdout: string; stderr: string },
  );
}

test.each(["18.20.8", "20.18.3"])("D11: Node %s is told which Node Sluice needs", async (version) => {
  const sentence = `Sluice needs Node 20.19 or later; this is ${version}.\n`;
  for (const file of [sluiceMain, resolve(root, "scripts/check-node.cjs")]) {
    expect(await runAs(version, file, "--version")).toEqual({ code: 1, stdout: "", stderr: sentence });
  }
});

test("D11: the Node that package.json asks for runs", async () => {
  expect(engines.node).toBe(">=20.19.0");
  for (const version of ["20.19.0"]) {
    expect(await runAs(version, sluiceMain, "--version")).toMatchObject({ code: 0, stderr: "" });
  }
});

test("D11: an old Node can parse what checks its version", () => {
  const entry = readFileSync(sluiceMain, "utf8").replace(/^\/\/.*/gm, "");
  expect(entry).toMatch(/^#!\/usr\/bin\/env node\n/);
  expect(entry).not.toMatch(/^\s*(import|export)\s+[^({]|\bawait\b|\?\?|\?\.|\|\|=/m);
});

test("F6: SIGTERM to npm ends `npm run sluice -- simulate`", { timeout: 60_000 }, async () => {
  const npm = spawn("npm", ["run", "--silent", "sluice", "--", "simulate", "--port", "0"], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise((done) => npm.once("exit", (code, signal) => done(code ?? signal)));
  let url = "";
  for await (const chunk of npm.stdout) {
    url ||= /listens on (\S+);/.exec(String(chunk))?.[1] ?? "";
    // The output ends when the simulator does, whatever becomes of npm.
    if (url && !npm.killed) npm.kill("SIGTERM");
  }
  await exited;
  await expect(fetch(url)).rejects.toThrow();
});
