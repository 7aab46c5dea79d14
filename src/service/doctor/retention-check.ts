// The check of retention: the size of the store, whether it can shrink, and whether old data goes in time.
import { type Finding, fix, note, ok, skip } from "./findings.ts";

const withinMs = 5_000;
/** Time after which a due job should be gone, in seconds. A round begins every minute. */
const lateSeconds = 6 * 3600;

interface Report {
  store_bytes: number;
  free_bytes: number;
  fixed_databases: string[];
  keeps_all: boolean;
  rounds: { environment: string; finished_at: string; late_seconds: Record<string, number>; error?: string | null }[];
}

/**
 * @param url of the service, without a slash at its end
 * @param warnAboveBytes size above which a store that keeps everything is worth a note
 */
export async function checkRetention(
  url: string,
  apiKey: string | undefined,
  warnAboveBytes: number,
): Promise<Finding[]> {
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const report = await fetch(`${url}/v1/retention`, { headers, signal: AbortSignal.timeout(withinMs) }).then(
    async (answer) => (answer.ok ? ((await answer.json()) as Report) : answer.status),
    () => undefined,
  );
  if (report === undefined) return [skip("retention", `No service answers at ${url}, so it was not checked.`)];
  if (typeof report === "number") {
    return [skip("retention", `Not checked: the service answers ${report}. Set SLUICE_API_KEY to an admin key.`)];
  }
  return retentionFindings(report, warnAboveBytes);
}

/** Judges what the service told. Pure. */
export function retentionFindings(report: Report, warnAboveBytes: number): Finding[] {
  const { store_bytes: bytes, free_bytes: free, fixed_databases: fixed, keeps_all: keepsAll } = report;
  const size = `The store has ${gibibytes(bytes)}, of which ${gibibytes(free)} are free.`;
  const shrinking =
    fixed.length > 0
      ? [
          note(
            "store files",
            `An earlier version created ${fixed.join(", ")}, so these files cannot shrink. Stop the service and run once: sluice compact`,
          ),
        ]
      : [];
  if (keepsAll) {
    const text = `${size} Everything is kept.`;
    const first =
      bytes > warnAboveBytes
        ? note("retention", `${text} Set ages in the configuration (docs/retention.md).`)
        : ok("retention", text);
    return [first, ...shrinking];
  }
  return [roundsFinding(report, size), ...shrinking];
}

function roundsFinding({ rounds }: Report, size: string): Finding {
  if (rounds.length === 0) return note("retention", `${size} Ages are set, but no round has ended yet.`);
  const last = rounds.map(({ environment, finished_at: at }) => `${environment} ${at}`).join(", ");
  const late = rounds.flatMap(({ environment, late_seconds: seconds }) =>
    Object.entries(seconds)
      .filter(([, value]) => value > lateSeconds)
      .map(([kind, value]) => `${kind} of ${environment} for ${Math.round(value / 3600)} hours`),
  );
  const text = `${size} Last rounds: ${last}.`;
  const failed = rounds.flatMap(({ environment, error }) => (error ? [`${environment}: ${error}`] : []));
  if (failed.length > 0) {
    const overdue = late.length > 0 ? ` Due, but not removed: ${late.join(", ")}.` : "";
    return fix("retention", `${text}${overdue} The last round failed. ${failed.join("; ")}`);
  }
  return late.length > 0
    ? fix(
        "retention",
        `${text} Due, but not removed: ${late.join(", ")}. Look for "failed to remove old data" in the log.`,
      )
    : ok("retention", `${text} Nothing is overdue.`);
}

function gibibytes(bytes: number): string {
  return bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(1)} GiB` : `${Math.round(bytes / 1024 ** 2)} MiB`;
}
