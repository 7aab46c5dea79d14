// Which fault, if any, befalls a call: rules as data, asked in their order. Determined by the seed, the clock and the
// order of the calls.

import { statusOf } from "./errors.ts";
import type { Fault, FaultCondition, FaultRule } from "./faults.ts";
import { checkFields, enumeration, type FieldKinds, readFields } from "./fields.ts";
import type { RecordedCall } from "./journal.ts";
import { bareModelId, calledId } from "./models.ts";
import { randomNumbers } from "./random.ts";

/** @param startedAt on the clock of `RecordedCall.arrivedAt` */
export function createFaultChooser(
  rules: readonly FaultRule[],
  seed: number,
  startedAt: number,
): (call: RecordedCall) => Fault | undefined {
  const states = rules.map((rule, index) => ({ rule, index, met: 0, struck: 0 }));
  return (call) => {
    // All of them are asked, so that what one rule counts does not depend on what another does.
    const striking = states.filter((state) => {
      const { rule, index } = state;
      if (!meets(call, rule, call.arrivedAt - startedAt)) return false;
      state.met++;
      if (rule.every !== undefined && state.met % rule.every !== 0) return false;
      if (rule.share !== undefined && randomNumbers(`fault ${seed} ${index} ${call.n}`)() >= rule.share) return false;
      return rule.times === undefined || state.struck < rule.times;
    });
    const [first] = striking;
    if (first) first.struck++;
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

const conditions: FieldKinds = {
  modelId: "text",
  region: "text",
  operation: ["Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream", "ChatCompletions"],
  promptIncludes: "text",
  fromMs: "notNegative",
  untilMs: "positive",
  every: "count",
  share: "share",
  times: "count",
};

const afterEvents = "wholeFromZero" as const;

const fields: Record<Fault["kind"], FieldKinds> = {
  error: { error: "text", status: "errorStatus", message: "text", retryAfterS: "notNegative" },
  overloaded: { retryAfterS: "notNegative" },
  html: { status: "status" },
  not_json: { status: "status" },
  cut: { afterEvents },
  reset: { afterEvents },
  stall: { afterEvents },
  early_end: { afterEvents },
  truncated_frame: { afterEvents },
  bad_checksum: { afterEvents },
  exception: { error: "text", message: "text", afterEvents },
  error_frame: { code: "text", message: "text", afterEvents },
  unknown_event: { afterEvents },
  no_usage: {},
  stop_reason: { stopReason: "text" },
};

export const faultKinds = Object.keys(fields);

/** @throws RangeError that names the field, its value and what is allowed. */
export function checkFaultRule(key: string, rule: FaultRule): void {
  if (typeof rule !== "object" || rule === null || !Object.hasOwn(fields, rule.kind)) {
    throw new RangeError(`${key}.kind is ${JSON.stringify(rule?.kind)}; allowed are ${enumeration(faultKinds)}.`);
  }
  checkFields(key, rule, { kind: "text", ...fields[rule.kind], ...conditions });
  if (rule.kind === "error" && rule.status === undefined && statusOf(rule.error ?? "") === undefined) {
    throw new RangeError(
      rule.error === undefined
        ? `${key} needs error or status.`
        : `${key}.error is "${rule.error}", which is not one of Bedrock's; say its HTTP status with status.`,
    );
  }
  if (rule.kind === "exception" && rule.error === undefined) throw new RangeError(`${key} needs error.`);
  if (rule.kind === "stop_reason" && rule.stopReason === undefined) throw new RangeError(`${key} needs stopReason.`);
  if (rule.untilMs !== undefined && rule.untilMs <= (rule.fromMs ?? 0)) {
    throw new RangeError(`${key}.untilMs is ${rule.untilMs}; it must be after fromMs, ${rule.fromMs ?? 0}.`);
  }
}

/**
 * A rule in one line: the kind, then its fields, as in `stall,afterEvents=2,every=5`.
 * @throws RangeError
 */
export function parseFaultRule(text: string): FaultRule {
  const at = text.indexOf(",");
  const kind = at < 0 ? text : text.slice(0, at);
  const kinds = { ...(Object.hasOwn(fields, kind) && fields[kind as Fault["kind"]]), ...conditions };
  const rule = { ...readFields(at < 0 ? "" : text.slice(at + 1), kinds), kind } as FaultRule;
  checkFaultRule("fault", rule);
  return rule;
}

/**
 * A region without capacity for a time, in one line: `us-east-1:10-30` refuses its calls with 503 from the tenth to the
 * thirtieth second since the start, `us-east-1` always.
 * @throws RangeError
 */
export function parseOutage(text: string): FaultRule {
  const parts = /^([a-z0-9-]+?)(?::(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)?)?$/.exec(text);
  if (!parts) {
    throw new RangeError(
      `outage is ${JSON.stringify(text)}; allowed is REGION, REGION:FROM- or REGION:FROM-UNTIL, in seconds since the start.`,
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
