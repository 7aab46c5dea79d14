// Chooses the fault of a call by rules that are plain data, in their order. The result depends on the seed, the clock
// and the order of the calls only.
import Type, { type TProperties } from "typebox";
import { quote } from "../domain/errors.ts";
import { statusOf } from "./aws-errors.ts";
import type { Fault, FaultCondition, FaultRule } from "./faults.ts";
import type { RecordedCall } from "./journal.ts";
import { count, notNegative, optionCheck, positive, readFields, section, share, text } from "./option-schema.ts";
import { randomNumbers } from "./random.ts";
import { bareModelId, calledId } from "./simulated-models.ts";

/**
 * Returns a function that chooses the fault of a call.
 * @param startedAt start of the simulator, on the clock of `RecordedCall.arrivedAt`
 */
export function createFaultChooser(
  rules: readonly FaultRule[],
  seed: number,
  startedAt: number,
): (call: RecordedCall) => Fault | undefined {
  const states = rules.map((rule, index) => ({ rule, index, met: 0, applied: 0 }));
  return (call) => {
    // Evaluates all rules, so that the counts of one rule do not depend on another.
    const applicable = states.filter((state) => {
      const { rule, index } = state;
      if (!meets(call, rule, call.arrivedAt - startedAt)) return false;
      state.met++;
      if (rule.every !== undefined && state.met % rule.every !== 0) return false;
      if (rule.share !== undefined && randomNumbers(`fault ${seed} ${index} ${call.n}`)() >= rule.share) return false;
      return rule.times === undefined || state.applied < rule.times;
    });
    const [first] = applicable;
    if (first) first.applied++;
    return first?.rule;
  };
}

function meets(call: RecordedCall, when: FaultCondition, time: number): boolean {
  const id = calledId(call.modelId);
  return (
    (when.modelId === undefined || when.modelId === id || when.modelId === bareModelId(id)) &&
    (when.region === undefined || when.region === call.region) &&
    (when.operation === undefined || when.operation === call.operation) &&
    (when.promptIncludes === undefined || call.prompt.includes(when.promptIncludes)) &&
    (when.fromMs === undefined || time >= when.fromMs) &&
    (when.untilMs === undefined || time < when.untilMs)
  );
}

const conditions = {
  modelId: text,
  region: text,
  operation: Type.Enum([
    "Converse",
    "ConverseStream",
    "InvokeModel",
    "InvokeModelWithResponseStream",
    "ChatCompletions",
    "Embeddings",
  ]),
  promptIncludes: text,
  fromMs: notNegative,
  untilMs: positive,
  every: count,
  share,
  times: count,
};

const afterEvents = Type.Integer({ minimum: 0 });
const retryAfterS = notNegative;
const status = Type.Integer({ minimum: 200, maximum: 599 });
const errorStatus = Type.Integer({ minimum: 400, maximum: 599 });

const fields: Record<Fault["kind"], TProperties> = {
  error: { error: text, status: errorStatus, message: text, retryAfterS },
  overloaded: { retryAfterS },
  html: { status },
  not_json: { status },
  cut: { afterEvents },
  reset: { afterEvents },
  stall: { afterEvents },
  early_end: { afterEvents },
  truncated_frame: { afterEvents },
  bad_checksum: { afterEvents },
  exception: { error: text, message: text, afterEvents },
  error_frame: { code: text, message: text, afterEvents },
  unknown_event: { afterEvents },
  no_usage: {},
  stop_reason: { stopReason: text },
};

export const faultKinds = Object.keys(fields) as Fault["kind"][];

const needed: Partial<Record<Fault["kind"], string[]>> = { exception: ["error"], stop_reason: ["stopReason"] };
const schemas = Object.fromEntries(
  faultKinds.map((kind) => {
    const schema = section({ kind: text, ...fields[kind], ...conditions }, ["kind", ...(needed[kind] ?? [])]);
    return [kind, { schema, check: optionCheck(schema) }];
  }),
);
const checkKind = optionCheck(Type.Object({ kind: Type.Enum(faultKinds) }));

/**
 * Checks a rule.
 * @param key name of the rule, for the message
 * @throws RangeError that names the field, what is allowed and what was found
 */
export function checkFaultRule(key: string, rule: FaultRule): void {
  checkKind(rule, key);
  schemas[rule.kind]!.check(rule, key);
  if (rule.kind === "error" && rule.status === undefined && statusOf(rule.error ?? "") === undefined) {
    throw new RangeError(
      rule.error === undefined
        ? `${key} must have error or status.`
        : `${key}.error must be one of Bedrock's errors; got "${rule.error}". For another error, set its HTTP status with status.`,
    );
  }
  if (rule.untilMs !== undefined && rule.untilMs <= (rule.fromMs ?? 0)) {
    throw new RangeError(`${key}.untilMs must be after fromMs, ${rule.fromMs ?? 0}; got ${rule.untilMs}.`);
  }
}

/**
 * Parses a rule in one line: the kind, then its fields, as in `stall,afterEvents=2,every=5`.
 * @throws RangeError if the line or the rule is invalid
 */
export function parseFaultRule(line: string): FaultRule {
  const at = line.indexOf(",");
  const kind = at < 0 ? line : line.slice(0, at);
  checkKind({ kind }, "fault");
  const rule = { ...readFields(at < 0 ? "" : line.slice(at + 1), schemas[kind]!.schema), kind } as FaultRule;
  checkFaultRule("fault", rule);
  return rule;
}

/**
 * Parses an outage of a region in one line. `us-east-1:10-30` refuses the region's calls with 503 from the tenth to the
 * thirtieth second after the start, `us-east-1` always.
 * @throws RangeError if the line is invalid
 */
export function parseOutage(line: string): FaultRule {
  const parts = /^([a-z0-9-]+?)(?::(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)?)?$/.exec(line);
  if (!parts) {
    throw new RangeError(
      `outage must be REGION, REGION:FROM- or REGION:FROM-UNTIL, in seconds since the start; got ${quote(line)}.`,
    );
  }
  const [, region, from, until] = parts;
  const rule: FaultRule = {
    kind: "error",
    error: "ServiceUnavailableException",
    region: region!,
    ...(from !== undefined && { fromMs: Number(from) * 1_000 }),
    ...(until !== undefined && { untilMs: Number(until) * 1_000 }),
  };
  checkFaultRule("outage", rule);
  return rule;
}
