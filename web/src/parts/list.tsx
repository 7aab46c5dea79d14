// The frame of a page that is a list: heading, what was done, rows, and the buttons that show other rows.
import type { ComponentChildren } from "preact";
import { focusHeading } from "../focus.ts";
import { count } from "../format.ts";
import type { Pages } from "../use-pages.ts";
import { useTitle } from "../use-title.ts";
import { Empty, Failure } from "./notice.tsx";
import { type Column, Table } from "./table.tsx";

export interface ListProps<T> {
  title: string;
  pages: Pages<T>;
  columns: readonly Column<T>[];
  /** What to show if there are no rows. */
  empty: ComponentChildren;
  isQuiet?(row: T): boolean;
  /** A button next to the heading. */
  action?: ComponentChildren;
  /** What the user has just done, as a sentence. */
  done?: string;
  /** What stands between the heading and the rows, such as a filter. */
  children?: ComponentChildren;
}

export function List<T>({ title, pages, columns, empty, isQuiet, action, done, children }: ListProps<T>) {
  const { rows, fresh, freshIsAll, older, newer } = pages;
  useTitle(title);
  /** Returns a handler that shows other rows. The button that was pressed may be gone then, so the heading has the focus. */
  const shows = (show: (() => void) | undefined) => () => {
    show?.();
    focusHeading();
  };
  return (
    <>
      <div class="title">
        <h1>{title}</h1>
        {action}
      </div>
      <div role="status">
        {/* Not `done &&`: an empty text would be written again with every poll. */}
        {done ? <p class="notice good">{done}</p> : null}
        <p class="sr">{fresh > 0 ? "There are new rows." : rows && `${count(rows.length, "row")} shown.`}</p>
      </div>
      {children}
      <Failure error={pages.error} retry={pages.refresh} />
      {fresh > 0 && (
        <button type="button" class="new-rows" onClick={shows(pages.refresh)}>
          Show {freshIsAll ? fresh : `more than ${fresh}`} new
        </button>
      )}
      {rows?.length === 0 && <Empty>{empty}</Empty>}
      {rows && rows.length > 0 && (
        <Table caption={title} columns={columns} rows={rows} idOf={pages.idOf} {...(isQuiet && { isQuiet })} />
      )}
      {(older || newer) && (
        <nav class="pager" aria-label="Pages of the list">
          <button type="button" aria-label="Newer rows" disabled={!newer} onClick={shows(newer)}>
            Newer
          </button>
          <button type="button" aria-label="Older rows" disabled={!older} onClick={shows(older)}>
            Older
          </button>
        </nav>
      )}
    </>
  );
}
