// Commands in a real terminal of 80 columns, by way of `script` from util-linux: sluice top and the bar of sluice batch.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { columnsOf } from "../../src/cli/terminal.ts";
import { lineOf, startTestService, type TestService } from "../batches/support.ts";
import { sluiceMain } from "../support/sluice-process.ts";

vi.setConfig({ testTimeout: 120_000 });

const withoutScript = spawnSync("script", ["--version"]).status !== 0;
const folder = mkdtempSync(join(tmpdir(), "sluice-terminal-"));

interface Terminal {
  child: ChildProcess;
  /** Everything that was written so far, with a symbol for each ESC. */
  text(): string;
  ended: Promise<number | null>;
}

function inTerminal(args: string[], env: Record<string, string>): Terminal {
  const command = `stty cols 80 rows 24; exec '${process.execPath}' '${sluiceMain}' ${args.join(" ")}`;
  // Where the tests run, NO_COLOR may be set.
  const { NO_COLOR: _, ...own } = process.env;
  const child = spawn("script", ["-qec", command, "/dev/null"], { env: { ...own, TERM: "xterm", ...env } });
  onTestFinished(() => void child.kill("SIGKILL"));
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString().replaceAll("\u001b", "␛");
  });
  return { child, text: () => text, ended: new Promise((resolve) => child.once("exit", resolve)) };
}

/** Without the codes that move the cursor and erase. */
const visible = (line: string) => line.replace(/␛\[[?\d;]*[A-Za-z]/g, "");

describe.skipIf(withoutScript)("in a terminal", () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService("embedded");
  });
  afterAll(async () => {
    await service.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([["\u0003"], ["q"]])(
    "top draws in place, fits, and leaves the terminal as it was after %j",
    async (key) => {
      const { child, text, ended } = inTerminal(["top"], { SLUICE_URL: service.url });
      await expect.poll(() => text().split("␛[H").length, { timeout: 60_000 }).toBeGreaterThan(2);
      child.stdin!.write(key);
      expect(await ended).toBe(0);
      expect(text()).toContain("␛[?1049h␛[?25l");
      expect(text().endsWith("␛[?25h␛[?1049l")).toBe(true);
      for (const line of text().split(/\r?\n/)) expect(columnsOf(visible(line))).toBeLessThanOrEqual(80);
    },
  );

  test("the bar of a batch is one line that is drawn again and removed; NO_COLOR takes its colours", async () => {
    const file = join(folder, "prompts.jsonl");
    writeFileSync(file, Array.from({ length: 50 }, (_, i) => `${lineOf(`${i}`)}\n`).join(""));
    const coloured = inTerminal(["batch", "submit", file, "--wait"], { SLUICE_URL: service.url });
    expect(await coloured.ended).toBe(0);
    expect(coloured.text()).toMatch(/\r␛\[K\[␛\[32m#+␛\[0m\] 100% {2}completed {2}50\/50/);
    expect(coloured.text()).toMatch(/\r␛\[KBatch batch_\w+ is completed: 50 of 50 lines completed/);
    const plain = inTerminal(["batch", "submit", file, "--wait"], { SLUICE_URL: service.url, NO_COLOR: "1" });
    expect(await plain.ended).toBe(0);
    expect(plain.text()).not.toContain("␛[32m");
    for (const part of plain.text().split(/\r\n?/)) expect(columnsOf(visible(part))).toBeLessThanOrEqual(110);
  });
});
