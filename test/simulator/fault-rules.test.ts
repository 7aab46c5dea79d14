// Which calls a rule applies to, and rules in one line as on the command line.
import { ConverseCommand, ConverseStreamCommand, CountTokensCommand } from "@aws-sdk/client-bedrock-runtime";
import { describe, expect, test } from "vitest";
import { parseFaultRule, parseOutage } from "../../src/simulator/fault-rules.ts";
import type { FaultRule } from "../../src/simulator/faults.ts";
import { parseForeignTraffic } from "../../src/simulator/options.ts";
import { ask, clientOf, collect, failure, llama, manualClock, simulate, textOf } from "./support.ts";

const down = { kind: "error", error: "ServiceUnavailableException" } as const;
const internal = { kind: "error", error: "InternalServerException" } as const;

/** Returns the outcomes of this many calls, from the journal. */
async function faultsOf(rules: FaultRule[], count: number, seed = 1): Promise<(string | undefined)[]> {
  const { simulator, client } = await simulate({ faults: rules, seed });
  for (let n = 0; n < count; n++) await client.send(new ConverseCommand(ask("Hi"))).catch(() => {});
  return simulator.calls.map((call) => call.error ?? call.fault);
}

describe("a rule applies", () => {
  test("always, without a condition", async () => {
    expect(await faultsOf([down], 2)).toEqual(["ServiceUnavailableException", "ServiceUnavailableException"]);
  });

  test("every n-th time, and at most as often as configured", async () => {
    expect(await faultsOf([{ kind: "cut", every: 2, times: 2 }], 7)).toEqual([
      undefined,
      "cut",
      undefined,
      "cut",
      ...Array(3).fill(undefined),
    ]);
  });

  test("a share of the calls, the same on every run of a seed", async () => {
    const rules: FaultRule[] = [{ ...down, share: 0.5 }];
    const first = await faultsOf(rules, 60);
    const struck = first.filter((error) => error !== undefined).length;
    expect(struck).toBeGreaterThan(15);
    expect(struck).toBeLessThan(45);
    expect(await faultsOf(rules, 60)).toEqual(first);
    expect(await faultsOf(rules, 60, 2)).not.toEqual(first);
  });

  test("the first of several, and each counts separately", async () => {
    const rules: FaultRule[] = [
      { ...down, every: 2 },
      { ...internal, every: 3 },
    ];
    expect(await faultsOf(rules, 6)).toEqual([
      undefined,
      "ServiceUnavailableException",
      "InternalServerException",
      "ServiceUnavailableException",
      undefined,
      "ServiceUnavailableException",
    ]);
  });

  test("to a model, a profile, an operation or a prompt", async () => {
    const { client } = await simulate({
      faults: [
        { ...down, modelId: "meta.llama3-1-8b-instruct-v1:0" },
        { ...down, modelId: "us.amazon.nova-lite-v1:0" },
        { ...internal, operation: "ConverseStream" },
        { kind: "stop_reason", stopReason: "content_filtered", promptIncludes: "filter" },
      ],
    });
    const name = (modelId: string) =>
      client.send(new ConverseCommand(ask("Hi", 10, modelId))).then(
        (answer) => answer.stopReason,
        (error) => error.name,
      );
    expect(await name("us.meta.llama3-1-8b-instruct-v1:0")).toBe("ServiceUnavailableException");
    expect(await name("arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-lite-v1:0")).toBe(
      "ServiceUnavailableException",
    );
    expect(await name("amazon.nova-lite-v1:0")).toBe("max_tokens");
    expect((await failure(client.send(new ConverseStreamCommand(ask("Hi"))))).name).toBe("InternalServerException");
    expect((await client.send(new ConverseCommand(ask("filter me")))).stopReason).toBe("content_filtered");
  });

  test("to a region from ten to thirty seconds after the start, and only then", async () => {
    const clock = manualClock(5_000);
    const { simulator } = await simulate({ clock, faults: [parseOutage("us-east-1:10-30")] });
    const clients = [clientOf(simulator, "us-east-1"), clientOf(simulator, "us-west-2")];
    const statuses = async (at: number) => {
      clock.time = 5_000 + at;
      const sent = clients.map((client) => client.send(new ConverseCommand(ask("Hi"))));
      return (await Promise.allSettled(sent)).map((result) =>
        result.status === "fulfilled" ? 200 : result.reason.$metadata.httpStatusCode,
      );
    };
    expect(await statuses(9_999)).toEqual([200, 200]);
    expect(await statuses(10_000)).toEqual([503, 200]);
    expect(await statuses(29_999)).toEqual([503, 200]);
    expect(await statuses(30_000)).toEqual([200, 200]);
    expect(simulator.quotas().map(({ region, admitted }) => [region, admitted])).toEqual([
      ["us-east-1", 2],
      ["us-west-2", 4],
    ]);
  });
});

describe("in one line", () => {
  test("a rule", () => {
    expect(parseFaultRule("stall,afterEvents=2,every=5,region=us-east-1")).toEqual({
      kind: "stall",
      afterEvents: 2,
      every: 5,
      region: "us-east-1",
    });
    expect(parseFaultRule("error,error=NewException,status=418,message=a = b,promptIncludes=5")).toEqual({
      kind: "error",
      error: "NewException",
      status: 418,
      message: "a = b",
      promptIncludes: "5",
    });
    expect(parseFaultRule("overloaded")).toEqual({ kind: "overloaded" });
  });

  test("an outage", () => {
    const rule = { kind: "error", error: "ServiceUnavailableException", region: "us-gov-west-1" };
    expect(parseOutage("us-gov-west-1")).toEqual(rule);
    expect(parseOutage("us-gov-west-1:2.5-")).toEqual({ ...rule, fromMs: 2_500 });
    expect(parseOutage("us-gov-west-1:0-1")).toEqual({ ...rule, fromMs: 0, untilMs: 1_000 });
  });

  test("foreign traffic", () => {
    expect(parseForeignTraffic("requestsPerMinute=60,tokensPerRequest=1000,region=eu-west-1")).toEqual({
      requestsPerMinute: 60,
      tokensPerRequest: 1_000,
      region: "eu-west-1",
    });
  });

  test.each([
    [() => parseFaultRule("flood"), /^fault\.kind must be one of error, .*; got "flood"\.$/],
    [() => parseFaultRule("toString"), /^fault\.kind must be one of .*; got "toString"\.$/],
    [() => parseFaultRule("cut,2"), /^Each part must have the form name=value; got "2"\.$/],
    [() => parseFaultRule("cut,after=2"), /^fault\.after is not a known field; .*nown fields: kind, afterEvents, /],
    [() => parseFaultRule("cut,afterEvents=-1"), /^fault\.afterEvents must be an integer of at least 0; got -1\.$/],
    [() => parseFaultRule("cut,every=often"), /^fault\.every must be an integer of at least 1; got "often"\.$/],
    [() => parseFaultRule("exception"), /^fault\.error is required\.$/],
    [() => parseOutage("us-east-1:30-10"), /^outage\.untilMs must be after fromMs, 30000; got 10000\.$/],
    [() => parseOutage("us-east-1 10 30"), /^outage must be REGION, .*; got "us-east-1 10 30"\.$/],
    [() => parseForeignTraffic("tokensPerRequest=5"), /^foreign\.requestsPerMinute is required\.$/],
  ])("a mistake is named %#", (parse, message) => {
    expect(parse).toThrow(RangeError);
    expect(parse).toThrow(message);
  });
});

test("CountTokens counts for some Claude models by their bare ID, charges nothing, and can fail", async () => {
  const claude = "anthropic.claude-haiku-4-5-20251001-v1:0";
  const { simulator, client } = await simulate({
    requestsPerMinute: 1,
    faults: [{ kind: "error", error: "ThrottlingException", promptIncludes: "fail" }],
  });
  const count = (modelId: string, prompt: string) => {
    const { messages } = ask(prompt);
    return client.send(new CountTokensCommand({ modelId, input: { converse: { messages } } }));
  };
  expect((await count(claude, "three short words")).inputTokens).toBe(3);
  const body = Buffer.from(
    JSON.stringify({ system: "be nice", max_tokens: 5, messages: [{ role: "user", content: [{ text: "to me" }] }] }),
  );
  const native = new CountTokensCommand({ modelId: claude, input: { invokeModel: { body } } });
  expect((await client.send(native)).inputTokens).toBe(4);
  expect((await failure(count(claude, "fail"))).name).toBe("ThrottlingException");
  for (const modelId of [llama, `us.${claude}`, "us.anthropic.claude-opus-5"]) {
    expect((await failure(count(modelId, "Hi"))).message).toBe("The provided model doesn't support counting tokens.");
  }
  expect(simulator.quotas()).toEqual([]);
  expect(simulator.calls[0]).toMatchObject({ operation: "CountTokens", outcome: "answered", inputTokens: 3 });
});

test("an event of a type that the SDK does not know is skipped", async () => {
  const { simulator, client } = await simulate({ faults: [{ kind: "unknown_event", afterEvents: 2 }] });
  const whole = await client.send(new ConverseCommand(ask("Hi")));
  const events = await collect((await client.send(new ConverseStreamCommand(ask("Hi")))).stream);
  expect(textOf(events)).toBe(whole.output!.message!.content![0]!.text);
  expect(simulator.calls[1]).toMatchObject({ fault: "unknown_event", outcome: "answered" });
});
