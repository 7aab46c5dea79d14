// A list in keyset pages: one request for each page, and newer rows wait behind a button, so that rows never jump.
import { useEffect, useState } from "preact/hooks";
import { call, query } from "../api.ts";
import type { OpenAiList, Page } from "../resources.ts";

export interface Paged<T> {
  rows: T[] | undefined;
  error: unknown;
  /** Number of new rows of the first page that are not shown. */
  fresh: number;
  /** Whether there may be more than `fresh`. */
  freshIsAll: boolean;
  hasNext: boolean;
  hasPrevious: boolean;
  next(): void;
  previous(): void;
  /** Shows the first page as it is now. */
  refresh(): void;
}

const pageSize = 50;
const pollMs = 5_000;

/** Reads one page of a list. */
export type ReadPage<T> = (limit: number, cursor: string | undefined, signal?: AbortSignal) => Promise<Page<T>>;

/** Returns the reader of one of Sluice's own lists. */
export function pagesOf<T>(path: string, parameters: Record<string, string | undefined> = {}): ReadPage<T> {
  return (limit, cursor, signal) =>
    call<Page<T>>(path + query({ ...parameters, limit, cursor }), signal ? { signal } : {});
}

/** Returns the reader of a list with OpenAI's names. */
export function openAiPagesOf<T extends { id: string }>(path: string): ReadPage<T> {
  return async (limit, cursor, signal) => {
    const list = await call<OpenAiList<T>>(path + query({ limit, after: cursor }), signal ? { signal } : {});
    return { data: list.data, next_cursor: list.has_more ? (list.data.at(-1)?.id ?? null) : null };
  };
}

/**
 * Pages through a list.
 * @param key changes with the filter of the list; another key starts at the first page
 * @param idOf returns the id of a row
 */
export function usePages<T>(key: string, read: ReadPage<T>, idOf: (row: T) => string): Paged<T> {
  const [cursors, setCursors] = useState<{ key: string; past: (string | undefined)[] }>({ key, past: [undefined] });
  const past = cursors.key === key ? cursors.past : [undefined];
  const cursor = past.at(-1);
  const place = `${key}#${cursor ?? ""}`;
  const [state, setState] = useState<{ place: string; page?: Page<T>; error?: unknown }>({ place: "" });
  const [round, setRound] = useState(0);
  const [fresh, setFresh] = useState({ key, count: 0, all: true });
  const current = state.place === place ? state : undefined;

  useEffect(() => {
    const abort = new AbortController();
    read(pageSize, cursor, abort.signal).then(
      (page) => {
        setState({ place, page });
        setFresh({ key, count: 0, all: true });
      },
      (error) => {
        if (!abort.signal.aborted) setState({ place, error });
      },
    );
    return () => abort.abort();
  }, [place, round]);

  const shown = current?.page?.data;
  const firstId = cursor === undefined && shown?.[0] !== undefined ? idOf(shown[0]) : undefined;
  useEffect(() => {
    if (cursor !== undefined || shown === undefined) return;
    const timer = setInterval(async () => {
      if (document.hidden) return;
      const page = await read(pageSize, undefined).catch(() => undefined);
      if (!page) return;
      const at = firstId === undefined ? -1 : page.data.findIndex((row) => idOf(row) === firstId);
      setFresh({ key, count: at === -1 ? page.data.length : at, all: at !== -1 || page.next_cursor === null });
      // Rows that are shown keep their places but get their present state.
      const byId = new Map(page.data.map((row) => [idOf(row), row]));
      setState((before) =>
        before.place === place && before.page
          ? { ...before, page: { ...before.page, data: before.page.data.map((row) => byId.get(idOf(row)) ?? row) } }
          : before,
      );
    }, pollMs);
    return () => clearInterval(timer);
  }, [place, firstId, shown === undefined]);

  return {
    rows: shown,
    error: current?.error,
    fresh: fresh.key === key && cursor === undefined ? fresh.count : 0,
    freshIsAll: fresh.all,
    hasNext: Boolean(current?.page?.next_cursor),
    hasPrevious: past.length > 1,
    next() {
      const next = current?.page?.next_cursor;
      if (next) setCursors({ key, past: [...past, next] });
    },
    previous: () => setCursors({ key, past: past.slice(0, -1) }),
    refresh() {
      setCursors({ key, past: [undefined] });
      setRound((n) => n + 1);
    },
  };
}

export function PagerButtons<T>({ pages }: { pages: Paged<T> }) {
  if (!pages.hasNext && !pages.hasPrevious) return null;
  return (
    <nav class="pager" aria-label="Parts of the list">
      <button type="button" disabled={!pages.hasPrevious} onClick={pages.previous}>
        Newer
      </button>
      <button type="button" disabled={!pages.hasNext} onClick={pages.next}>
        Older
      </button>
    </nav>
  );
}

/** The button that shows rows which arrived after the list was read. */
export function NewRows<T>({ pages }: { pages: Paged<T> }) {
  if (pages.fresh === 0) return null;
  return (
    <button type="button" class="new-rows" onClick={pages.refresh}>
      Show {pages.freshIsAll ? pages.fresh : `more than ${pages.fresh}`} new
    </button>
  );
}
