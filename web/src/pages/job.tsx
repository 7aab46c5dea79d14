// One job: its states in time, why it waits, its attempts, the prompt and the answer as it arrives.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";
import { call } from "../api.ts";
import { dollars, duration, number, shortId } from "../format.ts";
import { deploymentWords } from "../names.ts";
import { Badge } from "../parts/badge.tsx";
import { CodeSamples } from "../parts/code-samples.tsx";
import { Confirm } from "../parts/confirm.tsx";
import { Copy } from "../parts/copy.tsx";
import { LongText } from "../parts/long-text.tsx";
import { Metadata } from "../parts/metadata.tsx";
import { DeploymentName, Sentence } from "../parts/names.tsx";
import { Failure, Missing } from "../parts/notice.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { TextPieces } from "../parts/text-pieces.tsx";
import { Time } from "../parts/time.tsx";
import { WaitBar } from "../parts/wait-bar.tsx";
import { hasEnded, type Job, type JobAttempt, type SubmittedRequest } from "../resources.ts";
import { to } from "../routes.ts";
import { mayChange } from "../session.ts";
import { useJobText } from "../use-job-text.ts";
import { useQuery } from "../use-query.ts";
import { useTitle } from "../use-title.ts";

const refreshMs = 2_000;

export function JobPage() {
  const { id = "" } = useRoute().params;
  // Another job has nothing of this one.
  return <OneJob key={id} id={id} />;
}

function OneJob({ id }: { id: string }) {
  const { route } = useLocation();
  const path = `v1/jobs/${encodeURIComponent(id)}`;
  const job = useQuery<Job>(path, refreshMs, hasEnded);
  const live = useJobText(path, job.data);
  const [asking, setAsking] = useState(false);
  const [retryError, setRetryError] = useState<unknown>();
  const isOver = job.data !== undefined && hasEnded(job.data);
  useTitle(`Job ${shortId(id)}`);
  if (!job.data) {
    return (
      <Missing title="Job" error={job.error} retry={job.reload}>
        <a href={to("jobs")}>Go to the jobs</a>
      </Missing>
    );
  }
  const { data } = job;

  async function retry(): Promise<void> {
    try {
      const again = await call<Job>(`${path}/retry`, { method: "POST" });
      route(to(`jobs/${again.job_id}`));
    } catch (error) {
      setRetryError(error);
    }
  }

  return (
    <>
      <div class="title">
        <h1>
          Job <code>{shortId(data.job_id)}</code> <Badge state={data.status} />
        </h1>
        {mayChange() && (
          <span class="actions">
            {!isOver && (
              <button type="button" class="danger" onClick={() => setAsking(true)}>
                Cancel
              </button>
            )}
            {isOver && data.status !== "completed" && (
              <button type="button" onClick={retry}>
                Retry
              </button>
            )}
          </span>
        )}
      </div>
      <Failure error={retryError} />
      <Failure error={job.error} />
      {data.status === "queued" && <Waiting job={data} />}
      {data.error && (
        <div class="notice bad">
          <strong>{data.error.code.replaceAll("_", " ")}</strong>: <LongText text={data.error.message} />
        </div>
      )}
      <Timeline job={data} />
      <Facts job={data} />
      <Attempts attempts={data.attempts} />
      <Prompt path={path} />
      {data.reasoning && (
        <>
          <h2>Reasoning</h2>
          {data.reasoning.map(({ text }, i) => (
            <TextPieces key={i} text={text || "[hidden by the provider]"} />
          ))}
        </>
      )}
      <h2>Answer</h2>
      {data.embeddings ? (
        <p class={data.embeddings.embedded === 0 ? "empty" : undefined}>{vectorsOf(data.embeddings)}</p>
      ) : data.text === null && live === "" ? (
        <p class="empty">There is no answer{isOver ? "." : " yet."}</p>
      ) : (
        <>
          {data.finish_reason === "length" && (
            <p class="notice warn">The answer is truncated: it reached max_tokens ({number(data.max_tokens)}).</p>
          )}
          {data.synthetic && <p class="quiet">The built-in simulator wrote this text; no model was called.</p>}
          <TextPieces text={data.text ?? live} />
          {data.text !== null && <Copy text={data.text} label="Copy the answer" />}
        </>
      )}
      <RawAnswer native={data.native} />
      {data.tool_calls && (
        <>
          <h2>Tool calls</h2>
          {data.tool_calls.map((call) => (
            <div key={call.id}>
              <h3>
                <code>{call.name}</code>
              </h3>
              <TextPieces text={call.arguments} />
            </div>
          ))}
        </>
      )}
      <CodeSamples title="Read it from a program" method="GET" path={`/v1/jobs/${data.job_id}`} />
      {asking && (
        <Confirm
          title="Cancel this job?"
          action="Cancel the job"
          danger
          onClose={() => setAsking(false)}
          onConfirm={async () => {
            await call(`${path}/cancel`, { method: "POST" });
            job.reload();
          }}
        >
          <p>A running call is aborted. The provider may bill what it has generated.</p>
        </Confirm>
      )}
    </>
  );
}

/** Says how far a job is that makes embeddings. */
function vectorsOf({ texts, embedded, dimensions }: NonNullable<Job["embeddings"]>): string {
  const length = dimensions === null ? "" : ` of ${number(dimensions)} dimensions`;
  const all = `${number(texts)} ${texts === 1 ? "vector" : "vectors"}${length}`;
  return embedded === texts ? all : `${number(embedded)} of ${all}`;
}

/** The answer to a request in Bedrock's own format, as it came. */
function RawAnswer({ native }: Pick<Job, "native">) {
  const raw = native?.body ?? native?.events ?? null;
  if (raw === null) return null;
  return (
    <details class="code">
      <summary>Raw answer</summary>
      <TextPieces text={raw} />
      <Copy text={raw} label="Copy the raw answer" />
    </details>
  );
}

function Waiting({ job }: { job: Job }) {
  return (
    <p class="notice info">
      <Sentence text={job.waiting_on?.message ?? "It waits."} />
      {job.position !== null && ` Position ${number(job.position)}.`}
      {job.eta && (
        <>
          {" "}
          It should start <Time at={job.eta} relative />.
        </>
      )}
      {job.expected_finish && (
        <>
          {" "}
          It should end <Time at={job.expected_finish} relative />.
        </>
      )}
    </p>
  );
}

/** The request of the job, read when it is opened: it may be large. */
function Prompt({ path }: { path: string }) {
  const [open, setOpen] = useState(false);
  const request = useQuery<SubmittedRequest>(open ? `${path}/request` : undefined);
  return (
    <details class="code" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Prompt</summary>
      <Failure error={request.error} />
      {request.data?.erased && <p class="empty">The prompt was erased.</p>}
      {request.data && !request.data.erased && (
        <>
          {request.data.system !== null && <TextPieces text={`system: ${request.data.system}`} />}
          {request.data.messages.map((message, i) => (
            <TextPieces key={i} text={`${message.role}: ${textOf(message.content)}`} />
          ))}
          {request.data.native && <TextPieces text={JSON.stringify(request.data.native.body, undefined, 2)} />}
          {request.data.tools && <TextPieces text={JSON.stringify(request.data.tools, undefined, 2)} />}
        </>
      )}
    </details>
  );
}

/** Returns content as text. Images and documents are described, because the bytes come from strangers. */
function textOf(content: SubmittedRequest["messages"][number]["content"]): string {
  return content.map(blockText).join("\n");
}

function blockText(block: SubmittedRequest["messages"][number]["content"][number]): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "image":
      return `[${block.media_type}, ${kilobytes(block.data)}]`;
    case "document":
      return `[${block.name ?? "document"}: ${block.media_type}, ${kilobytes(block.data)}]`;
    case "reasoning":
      return `[reasoning] ${block.text}`;
    default:
      return JSON.stringify(block);
  }
}

/** Returns the size of what base64 encodes. */
function kilobytes(base64: string): string {
  return `${number(Math.ceil((base64.length * 3) / 4 / 1024))} KB`;
}

interface Step {
  at: string;
  text: string;
  state: string;
  /** What the job waited for before this step. */
  waited?: JobAttempt["waited"];
}

function Timeline({ job }: { job: Job }) {
  const steps: Step[] = [{ at: job.created_at, text: "Accepted", state: "queued" }];
  for (const attempt of job.attempts) {
    const end = attempt.duration_ms === null ? undefined : Date.parse(attempt.started_at) + attempt.duration_ms;
    steps.push({
      at: attempt.started_at,
      text: `Attempt ${attempt.number} on ${deploymentWords(attempt.deployment)}`,
      state: "in_progress",
      waited: attempt.waited,
    });
    if (end !== undefined && attempt.result !== "completed") {
      steps.push({
        at: new Date(end).toISOString(),
        text: `Attempt ${attempt.number} ended`,
        state: attempt.result,
      });
    }
  }
  if (job.finished_at) steps.push({ at: job.finished_at, text: "Ended", state: job.status });
  return (
    <section aria-label="Timeline">
      <h2>Timeline</h2>
      <ol class="timeline">
        {steps.map((step, i) => {
          const before = steps[i - 1];
          const wait = before && Date.parse(step.at) - Date.parse(before.at);
          return (
            <li key={`${step.at}${step.text}`}>
              {wait !== undefined && wait > 0 && (
                <span class="gap quiet">
                  {duration(wait)}
                  {step.waited && <WaitBar parts={step.waited} />}
                </span>
              )}
              <Badge state={step.state} /> {step.text} <Time at={step.at} />
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function Facts({ job }: { job: Job }) {
  const rows: [string, ComponentChildren][] = [
    ["Id", job.job_id],
    ["Environment", job.environment],
    ["Tenant", job.tenant],
    [
      "Model",
      job.answered_by && job.answered_by !== job.model ? `${job.model}, answered by ${job.answered_by}` : job.model,
    ],
    ["Priority", job.priority],
    ["Maximum output", `${number(job.max_tokens)} tokens`],
    ["Tokens", job.usage && `${number(job.usage.input_tokens)} in, ${number(job.usage.output_tokens)} out`],
    [
      "Cost",
      job.cost_usd === null ? null : dollars(job.cost_usd) + (job.cost_usd_estimated ? " (partly estimated)" : ""),
    ],
    ["Expires", job.expires_at && <Time at={job.expires_at} />],
  ];
  return (
    <dl class="facts">
      {rows
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      {job.retry_of && (
        <div>
          <dt>Retry of</dt>
          <dd>
            <a href={to(`jobs/${job.retry_of}`)}>{shortId(job.retry_of)}</a>
          </dd>
        </div>
      )}
      <Metadata labels={job.metadata} />
    </dl>
  );
}

function tokensOf(input: number, output: number): string {
  return `${number(input)} in, ${number(output)} out`;
}

const attemptColumns: Column<JobAttempt>[] = [
  {
    title: "Deployment",
    cell: ({ number, deployment }) => (
      <>
        {number}. <DeploymentName id={deployment} />
      </>
    ),
  },
  { title: "Started", cell: ({ started_at }) => <Time at={started_at} /> },
  { title: "Result", kind: "state", cell: ({ result }) => <Badge state={result} /> },
  { title: "First token", kind: "n", cell: ({ first_token_ms: ms }) => ms !== null && duration(ms) },
  { title: "Duration", kind: "n", cell: ({ duration_ms: ms }) => ms !== null && duration(ms) },
  {
    title: "Tokens reserved",
    kind: "n",
    cell: ({ tokens_reserved: { input, output } }) => tokensOf(input, output),
  },
  {
    title: "Tokens used",
    kind: "n",
    cell: ({ usage, usage_estimated }) =>
      usage && `${usage_estimated ? "about " : ""}${tokensOf(usage.input_tokens, usage.output_tokens)}`,
  },
  { title: "Cost", kind: "n", cell: ({ cost_usd }) => cost_usd !== null && dollars(cost_usd) },
  { title: "Error", kind: "text", cell: ({ error }) => error && <LongText text={error.message} /> },
];

function Attempts({ attempts }: { attempts: JobAttempt[] }) {
  if (attempts.length === 0) return null;
  const columns = attemptColumns.filter(({ title }) => title !== "Error" || attempts.some(({ error }) => error));
  return (
    <>
      <h2>Attempts</h2>
      <Table caption="Attempts" columns={columns} rows={attempts} idOf={({ number }) => String(number)} />
    </>
  );
}
