// The addresses of the dashboard's pages, so that the server knows which of them exist.

/** Paths below /ui/. web/src/main.tsx has a route for each; a test compares them. */
export const pagePaths = [
  ...["", "jobs", "jobs/:id", "batches", "batches/:id", "deployments"],
  ...["usage", "playground", "keys", "webhooks", "audit"],
] as const;

const forms = pagePaths.map((path) => new RegExp(`^${path.replace(":id", "[^/]+")}/?$`));

/** @param path below /ui/, without a query */
export function isPagePath(path: string): boolean {
  return forms.some((form) => form.test(path));
}
