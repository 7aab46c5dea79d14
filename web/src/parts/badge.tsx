// A state as a coloured word. The word carries the meaning; the colour only repeats it.
const kinds: Record<string, string> = {
  completed: "good",
  in_service: "good",
  failed: "bad",
  out_of_service: "bad",
  expired: "bad",
  in_progress: "busy",
  validating: "busy",
  finalizing: "busy",
  cooling_down: "warn",
  paused: "warn",
  throttled: "warn",
  cancelling: "warn",
};

export function Badge({ state }: { state: string }) {
  return <span class={`badge ${kinds[state] ?? "calm"}`}>{state.replaceAll("_", " ")}</span>;
}
