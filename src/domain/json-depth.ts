// Measures how deeply JSON is nested. JSON.stringify and every recursive walk overflow the stack at some thousands of
// levels, but JSON.parse does not.

/** Returns whether a parsed value has more than `max` levels of lists and objects. Works without recursion. */
export function isNestedDeeper(value: unknown, max: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    const holders = level.filter((found): found is object => typeof found === "object" && found !== null);
    if (holders.length > 0 && depth === max) return true;
    level = holders.flatMap((holder): unknown[] => Object.values(holder));
  }
  return false;
}
