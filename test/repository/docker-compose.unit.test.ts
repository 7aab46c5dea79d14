// docker-compose.yml is read here as Docker would: that it is valid, fits together, and keeps the settings that matter.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { environmentVariables } from "../../src/config/environment.ts";
import { load } from "../config/support.ts";

interface Service {
  image: string;
  build?: string;
  command?: string[];
  environment?: Record<string, string | null>;
  depends_on?: Record<string, { condition: string }>;
  ports?: string[];
  volumes?: string[];
  healthcheck?: { test?: string[]; disable?: boolean };
  stop_grace_period?: string;
}

const text = readFileSync(resolve(import.meta.dirname, "../../docker-compose.yml"), "utf8");
const file = parse(text, { merge: true }) as { services: Record<string, Service>; volumes: Record<string, null> };
const { services } = file;
const ours = Object.entries(services).filter(([, service]) => service.image === "sluice");

test("it has an API, a worker for each environment, Redis and MongoDB", async () => {
  const { environments } = await load({});
  const commands = ours.map(([, service]) => service.command!.join(" "));
  const workers = Object.keys(environments).map((name) => `worker --environment ${name}`);
  expect(commands).toEqual(["api", ...workers]);
  expect(Object.keys(services)).toEqual([...ours.map(([name]) => name), "redis", "mongo"]);
  expect(new Set(ours.map(([, service]) => service.build))).toEqual(new Set(["."]));
});

test("our processes are sent to services that are there, and wait for them", () => {
  for (const [, { environment, depends_on }] of ours) {
    for (const name of ["REDIS_URL", "MONGODB_URL"]) {
      const { hostname } = new URL(environment![name]!);
      expect(depends_on).toHaveProperty(hostname, { condition: "service_healthy" });
      expect(services[hostname]?.healthcheck?.test).toBeDefined();
    }
  }
});

test("the variables that are passed on are ones that the service or the AWS SDK reads", () => {
  const names = Object.keys(ours[0]![1].environment!);
  const unknown = names.filter((name) => !(name in environmentVariables) && !name.startsWith("AWS_"));
  expect(unknown.filter((name) => name !== "REDIS_URL")).toEqual([]);
});

test("stopping waits for running calls", async () => {
  const { worker } = await load({});
  for (const [, { stop_grace_period }] of ours) {
    expect(Number.parseInt(stop_grace_period!, 10) * 1000).toBeGreaterThan(worker.drainMs + 10_000);
  }
});

test("Redis keeps what it has and drops nothing, MongoDB is a replica set, and both have a volume", () => {
  const redis = services.redis!.command!.join(" ");
  expect(redis).toContain("--appendonly yes");
  expect(redis).toContain("--maxmemory-policy noeviction");
  expect(services.mongo!.command!.join(" ")).toContain("--replSet rs0");
  const initiate = services.mongo!.healthcheck!.test!.at(-1)!;
  expect(initiate).toContain('rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] })');
  const used = Object.values(services).flatMap(({ volumes = [] }) => volumes.map((volume) => volume.split(":")[0]));
  expect(used).toEqual(Object.keys(file.volumes));
});

test("only the API is published, and only to this machine: it has no login", () => {
  const published = Object.entries(services).filter(([, service]) => service.ports);
  expect(published.map(([name, { ports }]) => [name, ports])).toEqual([["api", ["127.0.0.1:8000:8000"]]]);
});

test("no dollar sign, which Docker Compose would take for a variable", () => {
  expect(text).not.toContain("$");
});
