// Moves the focus when the element that had it is gone, so that it never falls back to the start of the document.

/** Focuses the heading of the page, from which the next Tab leads into the content. */
export function focusHeading(): void {
  const heading = document.querySelector<HTMLElement>("main h1");
  if (!heading) return;
  heading.tabIndex = -1;
  heading.focus();
}
