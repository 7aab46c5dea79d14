// A job that was just submitted: its place in the queue, then its text as it arrives.
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { dollars, number, shortId } from "../format.ts";
import { hasEnded, type Job } from "../resources.ts";
import { to } from "../routes.ts";
import { mayChange } from "../session.ts";
import { useJobText } from "../use-job-text.ts";
import { useQuery } from "../use-query.ts";
import { Badge } from "./badge.tsx";
import { LongText } from "./long-text.tsx";
import { Sentence } from "./names.tsx";
import { Failure } from "./notice.tsx";
import { TextPieces } from "./text-pieces.tsx";
import { Time } from "./time.tsx";

export function RunningJob({ id }: { id: string }) {
  const path = `v1/jobs/${id}`;
  const job = useQuery<Job>(path, 1000, hasEnded);
  const text = useJobText(path, job.data);
  const [stopError, setStopError] = useState<unknown>();
  if (!job.data) return <Failure error={job.error} retry={job.reload} />;
  const { status, position, eta, waiting_on, error, usage, cost_usd } = job.data;

  async function stop(): Promise<void> {
    setStopError(undefined);
    await call(`${path}/cancel`, { method: "POST" }).then(job.reload, setStopError);
  }

  return (
    <section aria-label="Answer">
      {/* Only the state is announced: the expected start counts down, and the text arrives in many pieces. */}
      <p>
        <span role="status">
          <Badge state={status} />
        </span>{" "}
        <a href={to(`jobs/${id}`)}>Job {shortId(id)}</a>
        {status === "queued" && (
          <>
            {" "}
            <Sentence text={waiting_on?.message ?? ""} />
            {position !== null && ` Position ${number(position)}.`}
          </>
        )}
        {status === "queued" && eta && (
          <>
            {" "}
            It should start <Time at={eta} relative />.
          </>
        )}
        {usage && ` ${number(usage.input_tokens)} tokens in, ${number(usage.output_tokens)} out, ${dollars(cost_usd)}.`}
      </p>
      {mayChange() && !hasEnded(job.data) && (
        <button type="button" class="danger" onClick={stop}>
          Stop
        </button>
      )}
      <Failure error={stopError} />
      {error && (
        <div class="notice bad" role="alert">
          <strong>{error.code.replaceAll("_", " ")}</strong>: <LongText text={error.message} />
        </div>
      )}
      {(job.data.text ?? text) !== "" && <TextPieces text={job.data.text ?? text} />}
    </section>
  );
}
