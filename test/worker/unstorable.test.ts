// What the store can take in no form: the job ends with an error, once, and its slot is free.
import { expect, test } from "vitest";
import { SluiceError } from "../../src/domain/errors.ts";
import { oneModel, runningWorkers } from "./support/harness.ts";

const open = runningWorkers();
const file = { models: oneModel(), worker: { concurrency: 1 } };
const answerAll = (call: { answer(): void }) => call.answer();

test("A7: an answer that cannot be stored ends the job once, with its usage and cost; the slot is free", async () => {
  let refused = 0;
  const { submit, record, advance, provider } = await open({
    file,
    respond: answerAll,
    store: (real) => ({
      async finish(environment, outcome, attempt) {
        if (outcome.text === "answer to poison") {
          refused += 1;
          throw new RangeError("Maximum call stack size exceeded");
        }
        return real.finish(environment, outcome, attempt);
      },
    }),
  });
  const [poison, well] = [await submit("poison"), await submit("well")];
  await advance(1_000);
  expect((await record(well)).state).toBe("completed");
  expect(refused).toBe(1);
  expect(provider.calls).toHaveLength(2);
  const { outcome, attempts } = await record(poison);
  expect(outcome).toMatchObject({ status: "failed", error: { code: "internal" }, attempt: 1 });
  expect(attempts).toMatchObject([{ end: { result: "completed", usage: { input: 10, output: 5 } } }]);
});

test("A7: an error that the store does not know is tried again for a while; one that passes is waited for", async () => {
  let failures = 0;
  const errors = [
    new SluiceError("internal", "The store failed: string or blob too big."),
    new SluiceError("unavailable", "The store is unreachable."),
  ];
  const { submit, record, advance } = await open({
    file,
    respond: answerAll,
    store: (real) => ({
      async finish(environment, outcome, attempt) {
        const error = outcome.text === "answer to poison" ? errors[0] : failures < 40 ? errors[1] : undefined;
        if (outcome.status === "completed" && error) {
          failures += 1;
          throw error;
        }
        return real.finish(environment, outcome, attempt);
      },
    }),
  });
  const poison = await submit("poison");
  await advance(60_000);
  expect((await record(poison)).outcome).toMatchObject({ status: "failed", error: { code: "internal" } });
  expect(failures).toBe(12);
  const well = await submit("well");
  await advance(300_000);
  expect(await record(well)).toMatchObject({ state: "completed", attempts: [{ end: { result: "completed" } }] });
});

test("A7: a job that cannot be read from the store fails; others run", async () => {
  const { submit, record, advance, provider } = await open({
    file,
    respond: answerAll,
    store: (real) => {
      let first = true;
      return {
        async beginAttempt(begin) {
          if (!first) return real.beginAttempt(begin);
          first = false;
          throw new SyntaxError("Unexpected end of JSON input");
        },
      };
    },
  });
  const [poison, well] = [await submit("poison"), await submit("well")];
  await advance(1_000);
  expect((await record(poison)).outcome).toMatchObject({ status: "failed", error: { code: "internal" } });
  expect((await record(well)).state).toBe("completed");
  expect(provider.calls).toHaveLength(1);
});

test("A7: an end that cannot be stored is stored without the provider's words", async () => {
  const { submit, record, advance } = await open({
    file,
    respond: (call) =>
      call.prompt === "poison" ? call.fail({ kind: "capacity", message: "too busy" }) : call.answer(),
    store: (real) => ({
      async endAttempt(environment, jobId, n, end) {
        if (end.error) throw new TypeError("Converting circular structure to JSON");
        return real.endAttempt(environment, jobId, n, end);
      },
    }),
  });
  const poison = await submit("poison");
  await advance(10);
  const [attempt] = (await record(poison)).attempts;
  expect(attempt!.end).toMatchObject({ result: "capacity" });
  expect(attempt!.end).not.toHaveProperty("error");
});
