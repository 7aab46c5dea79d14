// The progress of a batch as a bar of lines by state.
import { number } from "../format.ts";
import type { BatchResource } from "../resources.ts";

const parts = ["completed", "failed", "expired", "cancelled", "in_progress"] as const;

export function BatchBar({
  batch: { progress, request_counts },
}: {
  batch: Pick<BatchResource, "progress" | "request_counts">;
}) {
  const total = Math.max(
    1,
    request_counts.total,
    parts.reduce((sum, part) => sum + progress[part], progress.queued),
  );
  let from = 0;
  const label = parts
    .filter((part) => progress[part] > 0)
    .map((part) => `${number(progress[part])} ${part.replace("_", " ")}`)
    .join(", ");
  return (
    <svg
      class="bar"
      viewBox="0 0 100 6"
      preserveAspectRatio="none"
      role="img"
      aria-label={label || "nothing has started"}
    >
      <rect class="track" width="100" height="6" />
      {parts.map((part) => {
        const x = from;
        const width = (progress[part] / total) * 100;
        from += width;
        return width > 0 && <rect key={part} class={part} x={x} width={width} height="6" />;
      })}
    </svg>
  );
}
