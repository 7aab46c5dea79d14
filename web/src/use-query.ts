// Reads a resource for a component: once, again on demand, and at an interval while the tab is visible.
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "./api.ts";

export interface Query<T> {
  /** The last answer. Stays while a later read fails. */
  data: T | undefined;
  error: unknown;
  reload(): void;
}

/**
 * Reads a path of the API whenever the path changes.
 * @param path undefined to read nothing
 * @param everyMs interval of further reads in milliseconds; default: none
 * @param isLast returns whether an answer never changes again, so that it ends the further reads; default: none does
 */
export function useQuery<T>(path: string | undefined, everyMs?: number, isLast?: (data: T) => boolean): Query<T> {
  const [state, setState] = useState<{ path: string | undefined; data?: T; error?: unknown }>({ path });
  const [round, setRound] = useState(0);
  const latest = useRef(path);
  latest.current = path;

  useEffect(() => {
    if (path === undefined) return;
    const abort = new AbortController();
    setState((before) => (before.path === path ? before : { path }));
    call<T>(path, { signal: abort.signal }).then(
      (data) => latest.current === path && setState({ path, data }),
      (error) => {
        if (!abort.signal.aborted) setState((before) => ({ ...before, error }));
      },
    );
    return () => abort.abort();
  }, [path, round]);

  const { data, error } = state.path === path ? state : {};
  const repeats = everyMs !== undefined && !(data !== undefined && isLast?.(data));
  useEffect(() => {
    if (!repeats) return;
    const timer = setInterval(() => {
      if (!document.hidden) setRound((n) => n + 1);
    }, everyMs);
    return () => clearInterval(timer);
  }, [repeats, everyMs]);

  return { data, error, reload: () => setRound((n) => n + 1) };
}
