// sluice keys: with and without a service that runs, and the key that the other commands send.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { answering, closedAddress, run, start } from "./support.ts";

// Every command is a process of its own, and they share the machine with the other tests.
vi.setConfig({ testTimeout: 120_000 });

function workingDirectory(): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const keyForm = /^sk-sluice-[a-z0-9]{13}-[a-z0-9]{50}$/;

test("first in the folder, then by way of the service that has it open; enqueue and status send the key", async () => {
  const cwd = workingDirectory();
  const folder = ["--data-dir", "data"];
  const created = await run(["keys", "create", "--name", "admin", "--admin", ...folder], { cwd });
  expect(created.code, created.stderr).toBe(0);
  const admin = created.stdout.trim();
  expect(admin).toMatch(keyForm);
  expect(created.stderr).toMatch(/^Created \w{13} \("admin"; tenant "admin"; admin; created .*not shown again/);

  const service = start(["serve"], { cwd, env: { PORT: "0", SLUICE_LOG_LEVEL: "warn" } });
  const [, url] = await service.printed(/Sluice is ready on (\S+)/);
  const env = { SLUICE_URL: url! };
  const withKey = { cwd, env: { ...env, SLUICE_API_KEY: admin } };
  const [locked, refused, list, billing] = await Promise.all([
    run(["keys", "list", ...folder], { cwd, env }),
    run(["enqueue", "p", "--environment", "UAT"], { cwd, env }),
    run(["keys", "list", "--json"], withKey),
    run(["keys", "create", "--name", "billing", "--environment", "UAT", "--weight", "2", "--json"], withKey),
  ]);
  expect(locked).toMatchObject({ code: 1, stdout: "" });
  expect(locked.stderr).toMatch(/^The data folder .* is in use/);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(/^unauthenticated: /);
  expect(JSON.parse(list.stdout.split("\n")[0]!)).toMatchObject({ name: "admin", admin: true });
  const { id, key } = JSON.parse(billing.stdout);
  expect(key).toMatch(keyForm);

  const asBilling = { cwd, env: { ...env, SLUICE_API_KEY: key } };
  const enqueued = await run(["enqueue", "p", "--environment", "UAT", "--wait"], asBilling);
  expect(enqueued.code, enqueued.stderr).toBe(0);
  expect((await run(["keys", "revoke", id], withKey)).stdout).toMatch(new RegExp(`^Revoked ${id} \\(billing\\) at `));
  expect((await run(["enqueue", "p", "--environment", "UAT"], asBilling)).stderr).toMatch(/revoked/);

  const audit = await run(["audit", "--json"], withKey);
  expect(audit.code, audit.stderr).toBe(0);
  const entries = audit.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(entries.map(({ action, actor, target }) => [action, actor.kind, actor.key_name, target.id])).toEqual([
    ["key.revoke", "key", "admin", id],
    ["key.create", "key", "admin", id],
    ["key.create", "command", null, entries[1].actor.key_id],
  ]);
  const table = await run(["audit", "--action", "key.revoke"], withKey);
  expect(table.stdout).toMatch(
    /^time +action +who +what\n\S+ \S+ {2}key\.revoke {2}admin {2}key \w+, name billing, tenant billing\n$/,
  );
  expect((await run(["audit"], asBilling)).stderr).toMatch(/revoked/);

  service.child.kill("SIGTERM");
  const { stdout, stderr } = await service.ended;
  for (const secret of [admin, key]) expect(stdout + stderr).not.toContain(secret.slice(-50));
});

test("what is asked of the service, and what is said if none runs", async () => {
  const key = { id: "abc", name: "x", tenant: "x", hint: "sk-sluice-abc-...wxyz", created_at: "2030-01-01T00:00:00Z" };
  const service = await answering([{ body: { ...key, key: "sk-sluice-abc-secretwxyz" } }, { body: { data: [key] } }]);
  const options =
    "--name x --tenant t --environment UAT --environment PROD --weight 1.5 --priority-max standard --regions us-east-1,eu-west-1 " +
    "--daily-tokens 10 --budget-usd 2.5 --max-waiting 7 --max-wait 120 --admin";
  const [created, listed, stopped] = [
    await run(["keys", "create", ...options.split(" "), "--url", service.url]),
    await run(["keys", "list"], { env: { SLUICE_URL: service.url } }),
    await run(["keys", "list"], { env: { SLUICE_URL: await closedAddress() } }),
  ];
  expect(created).toMatchObject({ code: 0, stdout: "sk-sluice-abc-secretwxyz\n" });
  expect(service.asked).toEqual([
    {
      method: "POST",
      url: "/v1/keys",
      body: {
        name: "x",
        tenant: "t",
        environments: ["UAT", "PROD"],
        weight: 1.5,
        priority_max: "standard",
        regions: ["us-east-1", "eu-west-1"],
        daily_tokens: 10,
        budget_usd: 2.5,
        max_waiting: 7,
        max_wait_s: 120,
        admin: true,
      },
    },
    { method: "GET", url: "/v1/keys?limit=200", body: undefined },
  ]);
  expect(listed.stdout.split("\n")[1]).toMatch(/^\S+ +x +x +2030-01-01 +sk-sluice-abc-\.\.\.wxyz$/);
  expect(stopped).toMatchObject({ code: 1, stdout: "" });
  expect(stopped.stderr).toMatch(/^The service is not running at /);
});

test.each([
  [["keys"], /Usage: sluice keys/],
  [["keys", "create"], /required option '--name <name>' not specified/],
  [["keys", "create", "--name", "x", "--weight", "0"], /a number above 0/],
  [["keys", "create", "--name", "x", "--priority-max", "urgent"], /interactive, standard, batch/],
  [["keys", "revoke"], /missing required argument 'id'/],
])("%j is a wrong command line", async (args, message) => {
  const result = await run(args);
  expect(result).toMatchObject({ code: 2, stdout: "" });
  expect(result.stderr).toMatch(message);
});

test("a key that cannot be one is not sent and not shown", async () => {
  const env = { SLUICE_URL: await closedAddress(), SLUICE_API_KEY: "two words" };
  const result = await run(["status", "019ab2c4-5d6e-7f80-9123-456789abcdef"], { env });
  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toMatch(/^SLUICE_API_KEY is not an API key/);
  expect(result.stderr).not.toContain("two words");
});

test("on another address than loopback the first start shows an admin key; SLUICE_AUTH=off says what it does", async () => {
  const cwd = workingDirectory();
  const env = {
    HOST: "0.0.0.0",
    PORT: "0",
    SLUICE_LOG_LEVEL: "warn",
    AWS_ACCESS_KEY_ID: "x",
    AWS_SECRET_ACCESS_KEY: "x",
  };
  const first = start(["serve"], { cwd, env });
  const [, port] = await first.printed(/Sluice is ready on http:\/\/0\.0\.0\.0:(\d+)/);
  const [, key] = await first.printed(/Admin key +(\S+)\n.*shown only once/);
  const url = `http://127.0.0.1:${port}/v1/jobs`;
  expect((await fetch(url)).status).toBe(401);
  expect((await fetch(url, { headers: { authorization: `Bearer ${key}` } })).status).toBe(200);
  first.child.kill("SIGTERM");
  await first.ended;

  const open = start(["serve"], { cwd, env: { ...env, SLUICE_AUTH: "off" } });
  const [, openPort] = await open.printed(/Sluice is ready on http:\/\/0\.0\.0\.0:(\d+)/);
  await open.printed(/WITHOUT API KEYS/);
  expect((await fetch(`http://127.0.0.1:${openPort}/v1/jobs`)).status).toBe(200);
});
