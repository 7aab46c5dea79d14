// The addresses of the pages, relative to the page's base.
import { base } from "./api.ts";

/** Returns the path of a page for a link, such as `jobs` or `jobs/0b5c...`. */
export function to(page: string): string {
  return base.pathname + page;
}
