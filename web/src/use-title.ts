// Names the page in the browser's tab.
import { useEffect } from "preact/hooks";

/** @param title of the page; default: the dashboard's name alone */
export function useTitle(title?: string): void {
  useEffect(() => {
    document.title = title === undefined ? "Sluice" : `${title} – Sluice`;
  }, [title]);
}
