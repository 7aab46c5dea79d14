import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { countTokens } from "gpt-tokenizer/encoding/cl100k_base";
import { afterEach, expect, test } from "vitest";
import type { CanonicalRequest } from "../../../src/domain/request.ts";
import { createTokenCounter, type TokenCounter } from "../../../src/jobs/tokens/token-counter.ts";

let counter: TokenCounter;
afterEach(() => counter.close());

function asking(text: string, rest: Partial<CanonicalRequest> = {}): CanonicalRequest {
  return { messages: [{ role: "user", content: [{ type: "text", text }] }], parameters: { maxTokens: 1 }, ...rest };
}

/** One message: 1 to begin, 5 around it, 4 for the header of the answer. */
const template = 10;

test("counts contents, system text, tools and the template around them, in the order of the argument", async () => {
  counter = createTokenCounter();
  const tools = [{ name: "clock", description: "Tells the time", inputSchema: { type: "object" } }];
  const counts = await counter.count([
    asking("Hello world"),
    asking("Hello world", { system: "Be brief" }),
    asking("Hello world", { tools }),
    asking("Hello world, how are you?"),
  ]);
  expect(counts).toEqual([
    template + 2,
    template + 2 + 5 + 2,
    template + 2 + countTokens(JSON.stringify(tools)),
    template + countTokens("Hello world, how are you?"),
  ]);
});

test("special tokens in a text are text", async () => {
  counter = createTokenCounter();
  const [count] = await counter.count([asking("<|endoftext|>")]);
  expect(count).toBeGreaterThan(template + 4);
});

test("a pair of surrogates is never cut in two", async () => {
  counter = createTokenCounter();
  const letters = "a".repeat(1023);
  const [count] = await counter.count([asking(`${letters}👍`)]);
  expect(count).toBe(template + countTokens(letters) + countTokens("👍"));
});

test("a pathological text does not hold up the main thread", async () => {
  counter = createTokenCounter();
  await counter.count([asking("the thread has started")]);
  const ended: string[] = [];
  const texts = ["a".repeat(200_000), "中".repeat(200_000), differentCharacters(200_000)];
  const counting = counter.count(texts.map((text) => asking(text))).then(() => ended.push("count"));
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  ended.push("ten turns of the event loop");
  await counting;
  expect(ended).toEqual(["ten turns of the event loop", "count"]);
});

function differentCharacters(n: number): string {
  return Array.from({ length: n }, (_, i) => String.fromCharCode(0x4e00 + ((i * 7919) % 20_000))).join("");
}

test("a crash of the thread rejects the call that caused it; the others are served by a new thread", async () => {
  counter = createTokenCounter();
  const poison = { ...asking("x"), messages: null as never };
  const calls = [counter.count([asking("one")]), counter.count([poison]), counter.count([asking("two")])];
  const results = await Promise.allSettled(calls);
  expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await counter.count([asking("three")])).toEqual([template + 1]);
});

test("a request that cannot be sent to the thread is rejected alone", async () => {
  counter = createTokenCounter();
  const strange = asking("x", { system: (() => "") as unknown as string });
  await expect(counter.count([strange])).rejects.toThrow();
  expect(await counter.count([asking("one")])).toEqual([template + 1]);
});

test("only so many calls may wait", async () => {
  counter = createTokenCounter();
  const results = await Promise.allSettled(Array.from({ length: 1_500 }, () => counter.count([asking("x")])));
  const served = results.filter((result) => result.status === "fulfilled").length;
  expect(served).toBe(1_001);
  expect(results.at(-1)).toMatchObject({ status: "rejected", reason: { message: "The token counter is busy" } });
});

test("close rejects what waits and what comes", async () => {
  counter = createTokenCounter();
  const calls = [counter.count([asking("x")]), counter.count([asking("y")])];
  const settled = Promise.allSettled(calls);
  await counter.close();
  expect((await settled).map((result) => result.status)).toEqual(["rejected", "rejected"]);
  await expect(counter.count([asking("z")])).rejects.toThrow("closed");
});

test("once idle, the thread lets the process end", async () => {
  counter = createTokenCounter();
  const script = `
    import(${JSON.stringify(new URL("../../../dist/jobs/tokens/token-counter.js", import.meta.url).href)}).then(
      async ({ createTokenCounter }) =>
        console.log(await createTokenCounter().count([${JSON.stringify(asking("Hello world"))}])),
    );`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--eval", script]);
  expect(stdout.trim()).toBe(`[ ${template + 2} ]`);
});
