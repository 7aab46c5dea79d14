// Lists in pages, as AWS gives them: a token names the place where the next page begins.

export function pageOf<T>(
  all: readonly T[],
  token: unknown,
  asked: unknown,
  most = 100,
): { items: readonly T[]; next?: string } {
  const from = /^\d{1,6}$/.test(String(token)) ? Number(token) : 0;
  const size = Math.min(most, Number(asked) > 0 ? Number(asked) : most);
  const next = from + size < all.length ? String(from + size) : undefined;
  return { items: all.slice(from, from + size), ...(next && { next }) };
}
