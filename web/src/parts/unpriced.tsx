// Says that dollars are not all: the cost of some calls is unknown.
import { count } from "../format.ts";

/** @param calls number of calls whose model has no price */
export function Unpriced({ calls }: { calls: number }) {
  return calls > 0 ? <span class="quiet"> without {count(calls, "call")} of unknown price</span> : null;
}
