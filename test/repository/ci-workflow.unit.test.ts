// .github/workflows/ci.yml is read here as GitHub would: that it runs .ci/run, and hands over the servers that tests read.
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";

const root = resolve(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(resolve(root, path), "utf8");
const { jobs } = parse(read(".github/workflows/ci.yml")) as {
  jobs: {
    ci: { env: Record<string, string>; services: Record<string, { ports: string[] }>; steps: { run?: string }[] };
  };
};

test("it runs what .ci/run runs", () => {
  expect(jobs.ci.steps.at(-1)).toEqual({ run: "bash .ci/run" });
  expect(existsSync(resolve(root, ".ci/run"))).toBe(true);
});

test("it starts the servers at the addresses that it hands to the tests", () => {
  const { env, services, steps } = jobs.ci;
  const published = [
    ...Object.values(services).flatMap(({ ports }) => ports),
    ...steps.flatMap(({ run = "" }) => [...run.matchAll(/--publish 127\.0\.0\.1:(\S+)/g)].map(([, ports]) => ports!)),
  ].map((ports) => ports.split(":")[0]);
  expect(Object.values(env).map((url) => new URL(url).port)).toEqual(published);
  const setup = read("test/support/start-servers.ts");
  expect(Object.keys(env).filter((name) => !setup.includes(name))).toEqual([]);
});

test("the programs that it installs are ones that tests look for", () => {
  const finder = read("test/support/find-servers.ts");
  for (const program of ["mongod", "valkey-server"]) {
    expect(jobs.ci.steps.some(({ run }) => run?.includes(`${program} --version`))).toBe(true);
    expect(finder).toContain(`onPath("${program}")`);
  }
});
