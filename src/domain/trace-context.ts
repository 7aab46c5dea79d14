// Parses the W3C trace context that a submitter sends. A job keeps it, so that its calls continue the submitter's trace.

/** A position in a trace, in the form of the headers `traceparent` and `tracestate`. */
export interface TraceContext {
  /** Version 00: ids of the trace and of the parent span, and flags. */
  traceparent: string;
  /** Entries of tracing systems, up to 512 characters. Absent if there are none. */
  tracestate?: string;
}

const maxStateLength = 512;
const maxStateMembers = 32;

const parentForm = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const stateMember = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/**
 * Returns the trace context of two headers. Returns undefined if `traceparent` is invalid, and omits an invalid
 * `tracestate` or one that is longer than 512 characters. A later version of the header is read as version 00.
 */
export function traceContextOf(traceparent: unknown, tracestate: unknown): TraceContext | undefined {
  if (typeof traceparent !== "string" || traceparent.length > maxStateLength) return undefined;
  const [, version, traceId = "", spanId = "", flags = "", rest] = parentForm.exec(traceparent) ?? [];
  if (version === undefined || version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0*$/.test(traceId) || /^0*$/.test(spanId)) return undefined;
  // Version 00 defines only this flag.
  const sampled = Number.parseInt(flags, 16) & 1;
  const state = stateOf(tracestate);
  return { traceparent: `00-${traceId}-${spanId}-0${sampled}`, ...(state !== undefined && { tracestate: state }) };
}

function stateOf(header: unknown): string | undefined {
  if (typeof header !== "string" || header.length > maxStateLength) return undefined;
  const members = header
    .split(",")
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((member) => member !== "");
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf("="))));
  const valid = members.length <= maxStateMembers && keys.size === members.length;
  return valid && members.length > 0 && members.every((member) => stateMember.test(member))
    ? members.join(",")
    : undefined;
}
