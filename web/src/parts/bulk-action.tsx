// Cancels, retries or changes many jobs: the selected ones, or all that match a filter. Shows how many there are before it does
// anything, and how far it is while it does.
import { useEffect, useState } from "preact/hooks";
import { call } from "../api.ts";
import { count, number, shortId } from "../format.ts";
import { type Priority, priorities } from "../resources.ts";
import { Confirm } from "./confirm.tsx";
import { Failure } from "./notice.tsx";

export type BulkKind = "cancel" | "retry" | "change";

interface Answer {
  matched: number;
  done: number;
  errors: { job_id: string; code: string; message: string }[];
  next_cursor: string | null;
}

/** Counts are exact up to this number. */
const mostCounted = 10_000;

const words = {
  cancel: {
    title: "Cancel jobs",
    verb: "Cancel",
    past: "cancelled",
    explain: "Running calls are aborted and may be billed.",
  },
  retry: {
    title: "Retry jobs",
    verb: "Retry",
    past: "retried",
    explain: "Each failed or expired job gets one new job, however often you retry it.",
  },
  change: {
    title: "Change the priority",
    verb: "Change",
    past: "changed",
    explain: "Jobs that run or have ended stay as they are.",
  },
} as const;

export interface BulkActionProps {
  kind: BulkKind;
  filter: Record<string, string>;
  /** Ids of selected jobs. Empty: all that match the filter. */
  selected: readonly string[];
  onClose: () => void;
  /** @param what was done, as a sentence */
  onDone: (what: string) => void;
}

export function BulkAction({ kind, filter, selected: selectedNow, onClose, onDone }: BulkActionProps) {
  // What was selected at the start: an empty selection would mean all that match, and the list clears it at the end.
  const [selected] = useState(selectedNow);
  const { title, verb, past, explain } = words[kind];
  const [matched, setMatched] = useState<{ jobs: number; more: boolean } | undefined>(
    selected.length > 0 ? { jobs: selected.length, more: false } : undefined,
  );
  const [error, setError] = useState<unknown>();
  const [done, setDone] = useState<number | undefined>();
  const [priority, setPriority] = useState<Priority>("batch");
  const set = kind === "change" ? { set: { priority } } : {};

  useEffect(() => {
    if (selected.length > 0) return;
    const abort = new AbortController();
    countMatches(kind, filter, abort.signal).then(setMatched, (reason) => !abort.signal.aborted && setError(reason));
    return () => abort.abort();
  }, []);

  const changeOne = (id: string) =>
    kind === "change"
      ? call(`v1/jobs/${id}`, { method: "PATCH", body: { priority } })
      : call(`v1/jobs/${id}/${kind}`, { method: "POST" });

  async function run(): Promise<void> {
    setDone(0);
    const failures: string[] = [];
    let changed = 0;
    const note = (jobs: number) => {
      changed += jobs;
      setDone(changed);
    };
    if (selected.length > 0) {
      for (const id of selected) {
        await changeOne(id).then(
          () => note(1),
          (reason) => failures.push(`${shortId(id)}: ${(reason as Error).message}`),
        );
      }
    } else {
      let cursor: string | null = null;
      do {
        const answer: Answer = await call<Answer>(`v1/jobs/${kind}`, {
          method: "POST",
          body: { ...bodyOf(filter), ...set, ...(cursor !== null && { cursor }) },
        });
        note(answer.done);
        failures.push(...answer.errors.map(({ job_id, message }) => `${shortId(job_id)}: ${message}`));
        cursor = answer.next_cursor;
      } while (cursor !== null);
    }
    onDone(`${count(changed, "job")} ${past}.`);
    if (failures.length > 0) {
      throw new Error(`${count(failures.length, "job")} could not be ${past}. ${failures.slice(0, 3).join(" ")}`);
    }
  }

  const amount = matched && (matched.more ? `more than ${count(matched.jobs, "job")}` : count(matched.jobs, "job"));
  return (
    <Confirm
      title={title}
      action={amount ? `${verb} ${amount}` : verb}
      danger={kind === "cancel"}
      disabled={matched === undefined || matched.jobs === 0}
      onConfirm={run}
      onClose={onClose}
    >
      <p aria-live="polite">
        {matched === undefined
          ? error === undefined && "Counting…"
          : matched.jobs === 0
            ? "No job matches."
            : `This changes ${amount}. ${explain}`}
      </p>
      {kind === "change" && (
        <label>
          New priority
          <select value={priority} onChange={({ currentTarget }) => setPriority(currentTarget.value as Priority)}>
            {priorities.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
      )}
      {done !== undefined && <p>{`${number(done)} ${past}`}</p>}
      <Failure error={error} />
    </Confirm>
  );
}

async function countMatches(kind: BulkKind, filter: Record<string, string>, signal: AbortSignal) {
  let jobs = 0;
  let cursor: string | null = null;
  do {
    const answer: Answer = await call<Answer>(`v1/jobs/${kind}`, {
      method: "POST",
      body: {
        ...bodyOf(filter),
        ...(kind === "change" && { set: { priority: "batch" } }),
        dry_run: true,
        ...(cursor !== null && { cursor }),
      },
      signal,
    });
    jobs += answer.matched;
    cursor = answer.next_cursor;
  } while (cursor !== null && jobs < mostCounted);
  return cursor === null ? { jobs, more: false } : { jobs: mostCounted, more: true };
}

/** Returns the filter as the body of a call: labels are one object there. */
function bodyOf(filter: Record<string, string>): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(filter)) {
    const label = /^metadata\[(.+)\]$/s.exec(name)?.[1];
    if (label === undefined) body[name] = value;
    else metadata[label] = value;
  }
  return { ...body, ...(Object.keys(metadata).length > 0 && { metadata }) };
}
