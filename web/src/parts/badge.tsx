// A state as a coloured word with a symbol. The word carries the meaning; colour and symbol only repeat it.
import { batchState } from "../batch-state.ts";
import type { BatchResource } from "../resources.ts";

const kinds: Record<string, string> = {
  completed: "good",
  in_service: "good",
  partly_failed: "warn",
  failed: "bad",
  permanent: "bad",
  out_of_service: "bad",
  expired: "warn",
  in_progress: "busy",
  validating: "busy",
  finalizing: "busy",
  cooling_down: "warn",
  paused: "warn",
  throttled: "warn",
  transient: "warn",
  capacity: "warn",
  unknown: "warn",
  cancelling: "warn",
};

const symbols: Record<string, string> = {
  completed: "✓",
  partly_failed: "!",
  failed: "✕",
  expired: "◷",
  cancelled: "⊘",
  out_of_service: "✕",
  paused: "‖",
};

export function StateSymbol({ state }: { state: string }) {
  return symbols[state] ? <span aria-hidden="true">{symbols[state]} </span> : null;
}

/** Results of attempts whose names are for programs. */
const attemptWords: Record<string, string> = {
  permanent: "refused",
  transient: "failed for now",
  capacity: "no capacity",
  unknown: "result unknown",
};

/** @param words default: the state in words */
export function Badge({
  state,
  words = attemptWords[state] ?? state.replaceAll("_", " "),
}: {
  state: string;
  words?: string;
}) {
  return (
    <span class={`badge ${kinds[state] ?? "calm"}`}>
      <StateSymbol state={state} />
      {words}
    </span>
  );
}

export function BatchBadge({ batch }: { batch: BatchResource }) {
  return <Badge {...batchState(batch)} />;
}
