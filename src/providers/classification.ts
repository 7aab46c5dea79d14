// How adapters classify the failure of a call, before its message is composed.
import type { ErrorCode } from "../domain/errors.ts";
import type { FailureKind, ThrottleKind } from "./provider.ts";

export interface Classification {
  kind: FailureKind;
  code: ErrorCode;
  throttle?: ThrottleKind;
  maybeBilled: boolean;
  retryAfterMs?: number;
  /** Message that replaces the provider's own. */
  words?: string;
  /** What to do, added to the message. */
  advice?: string | undefined;
}

/** Classifies a refusal: nothing was generated. */
export function refused(kind: FailureKind): Classification {
  return { kind, code: "model_unavailable", maybeBilled: false };
}

/**
 * Classifies a refusal whose cause only other jobs can show, the request or the deployment. `advice` applies to the
 * deployment.
 */
export function unclear(advice: string): Classification {
  return { kind: "unclear", code: "provider_rejected", maybeBilled: false, advice };
}

/** Classifies a refusal of this request. */
export function permanent(code: ErrorCode, advice?: string): Classification {
  return { kind: "permanent", code, maybeBilled: false, advice };
}

/** Classifies a call that may have been received: it may have been billed. */
export function unknownEnd(advice?: string): Classification {
  return { kind: "transient", code: "unknown_end", maybeBilled: true, advice };
}

/** Adds the full stop that some providers' messages lack. */
export function endSentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
