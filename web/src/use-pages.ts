// A list in keyset pages: one request for each page. The address holds the cursor, so a reload and Back keep the page. Newer
// rows wait until they are asked for, so that rows never jump.
import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { call, query as queryOf } from "./api.ts";
import type { OpenAiList, Page } from "./resources.ts";

export interface Pages<T> {
  rows: T[] | undefined;
  idOf(row: T): string;
  error: unknown;
  /** Number of new rows of the first page that are not shown. 0 on every other page. */
  fresh: number;
  /** Whether there are no more than `fresh`. */
  freshIsAll: boolean;
  /** Shows the page before this one, or the first page if the tab has not come from there. Undefined on the first page. */
  newer: (() => void) | undefined;
  /** Shows the page after this one. Undefined on the last page. */
  older: (() => void) | undefined;
  /** Reads this page again. */
  refresh(): void;
}

/** The parameter of the address that holds the cursor of a page. */
export const cursorName = "cursor";
const pageSize = 50;
const pollMs = 5_000;

/** Reads one page of a list. */
export type ReadPage<T> = (limit: number, cursor: string | undefined, signal?: AbortSignal) => Promise<Page<T>>;

/** Returns the reader of one of Sluice's own lists. */
export function pagesOf<T>(path: string, parameters: Record<string, string | undefined> = {}): ReadPage<T> {
  return (limit, cursor, signal) =>
    call<Page<T>>(path + queryOf({ ...parameters, limit, cursor }), signal ? { signal } : {});
}

/** Returns the reader of a list with OpenAI's names. */
export function openAiPagesOf<T extends { id: string }>(path: string): ReadPage<T> {
  return async (limit, cursor, signal) => {
    const list = await call<OpenAiList<T>>(path + queryOf({ limit, after: cursor }), signal ? { signal } : {});
    return { data: list.data, next_cursor: list.has_more ? (list.data.at(-1)?.id ?? null) : null };
  };
}

/**
 * Pages through the list of the page's address.
 * @param read reads what the address asks for; it may differ in every call
 * @param idOf returns the id of a row
 */
export function usePages<T>(read: ReadPage<T>, idOf: (row: T) => string): Pages<T> {
  const { url, path, query, route } = useLocation();
  const { [cursorName]: cursor, ...filter } = query;
  const isFirst = cursor === undefined;
  const [state, setState] = useState<{ url: string; page?: Page<T>; error?: unknown }>({ url: "" });
  const [round, setRound] = useState(0);
  const [fresh, setFresh] = useState({ url, count: 0, all: true });
  const current = state.url === url ? state : undefined;

  useEffect(() => {
    const abort = new AbortController();
    read(pageSize, cursor, abort.signal).then(
      (page) => {
        setState({ url, page });
        setFresh({ url, count: 0, all: true });
      },
      (error) => {
        if (!abort.signal.aborted) setState({ url, error });
      },
    );
    return () => abort.abort();
  }, [url, round]);

  const shown = current?.page?.data;
  const firstId = shown?.[0] && idOf(shown[0]);
  useEffect(() => {
    if (shown === undefined) return;
    const timer = setInterval(async () => {
      if (document.hidden) return;
      const page = await read(pageSize, cursor).catch(() => undefined);
      if (!page) return;
      if (isFirst) {
        const at = firstId === undefined ? -1 : page.data.findIndex((row) => idOf(row) === firstId);
        setFresh({ url, count: at === -1 ? page.data.length : at, all: at !== -1 || page.next_cursor === null });
      }
      // Rows that are shown keep their places but get their present state.
      const byId = new Map(page.data.map((row) => [idOf(row), row]));
      setState((before) =>
        before.url === url && before.page
          ? { ...before, page: { ...before.page, data: before.page.data.map((row) => byId.get(idOf(row)) ?? row) } }
          : before,
      );
    }, pollMs);
    return () => clearInterval(timer);
  }, [url, firstId, shown === undefined]);

  /** Shows another page. The entry of the browser's history remembers the cursors of the pages before it. */
  const show = (next: string | undefined, before: readonly string[]) => {
    route(path + queryOf({ ...filter, [cursorName]: next }));
    history.replaceState({ before }, "");
  };
  const before: readonly string[] = history.state?.before ?? [];
  const next = current?.page?.next_cursor;
  return {
    rows: shown,
    idOf,
    error: current?.error,
    fresh: fresh.url === url ? fresh.count : 0,
    freshIsAll: fresh.all,
    newer: isFirst ? undefined : () => show(before.at(-1), before.slice(0, -1)),
    older: next ? () => show(next, isFirst ? [] : [...before, cursor]) : undefined,
    refresh: () => setRound((n) => n + 1),
  };
}
