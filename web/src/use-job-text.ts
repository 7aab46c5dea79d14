// Follows the text of a job that runs.
import { useEffect, useState } from "preact/hooks";
import { base } from "./api.ts";
import { hasEnded, type Job } from "./resources.ts";

/**
 * Returns the text that has arrived so far.
 * @param path of the job below the API's root
 * @param job undefined while it is unknown; then nothing is followed
 */
export function useJobText(path: string, job: Job | undefined): string {
  const [text, setText] = useState("");
  const follow = job !== undefined && !hasEnded(job);
  useEffect(() => {
    if (!follow) return;
    const stream = new EventSource(new URL(`api/${path}/events`, base));
    stream.addEventListener("text", ({ data }) =>
      setText((before) => before + (JSON.parse(data) as { text: string }).text),
    );
    stream.addEventListener("restart", () => setText(""));
    return () => stream.close();
  }, [path, follow]);
  return text;
}
