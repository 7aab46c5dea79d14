// The check of the running service: it answers, accepts jobs, and runs them.
import { type Finding, fix, note, ok, skip } from "./findings.ts";

const withinMs = 5_000;

/** @param url without a slash at its end */
export async function checkService(url: string, apiKey: string | undefined): Promise<Finding[]> {
  let ready: Response;
  try {
    ready = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(withinMs) });
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string } };
    return [skip("service", `No service answers at ${url} (${cause?.code ?? message}), so it was not checked.`)];
  }
  const body = (await ready.json().catch(() => undefined)) as Readiness | undefined;
  return [readiness(url, ready.status, body), await keyFinding(url, apiKey)];
}

interface Readiness {
  status?: "ok" | "degraded";
  reasons?: string[];
  error?: { message?: string };
}

function readiness(url: string, status: number, body: Readiness | undefined): Finding {
  if (body?.status === "ok") return ok("service", `The service at ${url} accepts and runs jobs.`);
  const page = "docs/operations.md says what to do.";
  if (body?.status === "degraded") {
    return fix(
      "service",
      `The service at ${url} accepts jobs, but does not run them as it should: ${(body.reasons ?? []).join("; ")}. ${page}`,
    );
  }
  if (body?.error?.message)
    return fix("service", `The service at ${url} accepts no jobs. ${body.error.message} ${page}`);
  return fix("service", `${url} answers ${status}, but not as Sluice does. Check SLUICE_URL.`);
}

async function keyFinding(url: string, apiKey: string | undefined): Promise<Finding> {
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const status = await fetch(`${url}/v1/jobs?limit=1`, { headers, signal: AbortSignal.timeout(withinMs) }).then(
    (answer) => answer.status,
    () => 0,
  );
  if (status === 401) {
    const next =
      apiKey === undefined
        ? "Set SLUICE_API_KEY to a key of this service."
        : "Set SLUICE_API_KEY to another key: this one is refused.";
    return fix("api key", next);
  }
  if (status !== 200) return skip("api key", `Not checked: the service answers ${status} to a list of jobs.`);
  if (apiKey !== undefined && url.startsWith("http:") && !/^http:\/\/(localhost|127\.|\[::1\])/.test(url)) {
    return note(
      "api key",
      "The key is accepted, but it travels without encryption. Put a proxy with TLS in front, and use https:// in SLUICE_URL.",
    );
  }
  return ok(
    "api key",
    apiKey === undefined ? "The service needs no key." : "The service accepts the key in SLUICE_API_KEY.",
  );
}
