// What a job waited for before an attempt, as a bar and in words.
import { duration } from "../format.ts";
import { deploymentWords, quotaWords } from "../names.ts";
import type { JobAttempt } from "../resources.ts";

const words: Record<string, string> = {
  turn: "its start",
  fairness: "other jobs",
  quota: "quota",
  concurrency: "a free call",
  cool_down: "cool-down of",
  out_of_service: "out of service:",
  paused: "pause of",
  delay: "its time",
  rebuild: "the queue's rebuild",
  unknown: "unknown",
};

const colors: Record<string, string> = {
  quota: "bar",
  concurrency: "bar",
  cool_down: "warn",
  paused: "warn",
  out_of_service: "bad",
};

export function WaitBar({ parts }: { parts: JobAttempt["waited"] }) {
  const total = parts.reduce((sum, { ms }) => sum + ms, 0);
  if (total < 1000) return null;
  let from = 0;
  const label = parts
    .filter(({ ms }) => ms > 0)
    .map(
      ({ kind, subject, ms }) =>
        `${words[kind] ?? kind}${subject ? ` ${quotaWords(deploymentWords(subject))}` : ""} ${duration(ms)}`,
    )
    .join(", ");
  return (
    <>
      <svg class="bar wait" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        {parts.map(({ kind, subject, ms }) => {
          const x = from;
          const width = (ms / total) * 100;
          from += width;
          return (
            <rect key={`${kind} ${subject}`} class={`part ${colors[kind] ?? "quiet"}`} x={x} width={width} height="6" />
          );
        })}
      </svg>
      {label}
    </>
  );
}
