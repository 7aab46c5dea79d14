// The table of environment variables in docs/configuration.md is complete, and so is the one in the code.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { environmentVariables } from "../../src/config/environment.ts";
import { mistakesIn } from "./support.ts";

const root = resolve(import.meta.dirname, "../..");
const documentation = readFileSync(join(root, "docs/configuration.md"), "utf8");
const ours = Object.keys(environmentVariables).sort();

test("the documentation has a row for each variable", () => {
  const rows = [...documentation.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1]!);
  expect(rows.sort()).toEqual(ours);
});

test("no other SLUICE variables are read anywhere", () => {
  const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((f) =>
    f.endsWith(".ts"),
  );
  const named = sources.flatMap((file) => {
    const text = readFileSync(join(root, "src", file), "utf8");
    return [...text.matchAll(/\bSLUICE_[A-Z_]+|process\.env\.([A-Z_]+)|process\.env\["([A-Z_]+)/g)].map(
      (match) => match[1] ?? match[2] ?? match[0],
    );
  });
  expect([...new Set(named)].filter((name) => !ours.includes(name) && !name.startsWith("AWS_"))).toEqual([]);
});

test("the documented message is the real one", async () => {
  const shown = /```\nThere are 2 mistakes.*?\n(.*?)```/s.exec(documentation)![1];
  const yaml = `models:
  llama3-3-70b:
    deployments:
      - provider: bedrock
        region: us-east-1
        modelId: us.meta.llama3-3-70b-instruct-v1:0
        # Those of the account


        quotas:
          - { unit: requests, per: minute, limit: 3 }
          - { unit: tokens, per: minute, limit: 0 }



limits:
  maxWait: 30
`;
  expect(`${(await mistakesIn({ yaml })).split("\n").slice(1).join("\n")}\n`).toBe(shown);
});
