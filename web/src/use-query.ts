// Reads a resource for a component: once, again on demand, and at an interval while the tab is visible.
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "./api.ts";

export interface Query<T> {
  /** The last answer. Stays while a later read fails. */
  data: T | undefined;
  error: unknown;
  loading: boolean;
  reload(): void;
}

/**
 * Reads a path of the API whenever the path changes.
 * @param path undefined to read nothing
 * @param everyMs interval of further reads in milliseconds; default: none
 */
export function useQuery<T>(path: string | undefined, everyMs?: number): Query<T> {
  const [state, setState] = useState<{ path: string | undefined; data?: T; error?: unknown; loading: boolean }>({
    path,
    loading: true,
  });
  const [round, setRound] = useState(0);
  const latest = useRef(path);
  latest.current = path;

  useEffect(() => {
    if (path === undefined) return;
    const abort = new AbortController();
    setState((before) => ({ ...(before.path === path ? before : {}), path, loading: true }));
    call<T>(path, { signal: abort.signal }).then(
      (data) => latest.current === path && setState({ path, data, loading: false }),
      (error) => {
        if (!abort.signal.aborted) setState((before) => ({ ...before, error, loading: false }));
      },
    );
    return () => abort.abort();
  }, [path, round]);

  useEffect(() => {
    if (everyMs === undefined) return;
    const timer = setInterval(() => {
      if (!document.hidden) setRound((n) => n + 1);
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);

  const current = state.path === path ? state : { loading: true };
  return {
    data: "data" in current ? current.data : undefined,
    error: "error" in current ? current.error : undefined,
    loading: current.loading,
    reload: () => setRound((n) => n + 1),
  };
}
