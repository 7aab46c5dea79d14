// One quota as a bar: settled use, reservations of running calls, and where the learned and the configured limit are.
import { duration, number, percent, short, unitOf } from "../format.ts";
import { now } from "../live.ts";
import { quotaWords } from "../names.ts";
import type { Quota } from "../resources.ts";
import { QuotaName } from "./names.tsx";

export function QuotaBar({ quota }: { quota: Quota }) {
  const { configured_limit: configured, effective_limit: effective, settled, reserved, used } = quota;
  const all = Math.max(configured, effective, used, 1);
  const width = (amount: number) => `${Math.min(100, (amount / all) * 100)}%`;
  const learned = effective < configured;
  const closedMs = quota.closed_until ? Date.parse(quota.closed_until) - now.value : 0;
  return (
    <figure class="quota">
      <figcaption>
        <strong>
          <QuotaName name={quota.name} />
        </strong>
        {quotaWords(quota.name) === quota.name && <span class="quiet">{unitOf(quota)}</span>}
        <span class="amount">
          {short(used)} of {short(effective)} ({percent(used, effective)})
        </span>
      </figcaption>
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={sentence(quota)}>
        <rect class="track" width="100" height="6" />
        <rect class="settled" width={width(settled)} height="6" />
        <rect class="reserved" x={width(settled)} width={width(reserved)} height="6" />
        {learned && <rect class="beyond" x={width(effective)} width={width(all - effective)} height="6" />}
      </svg>
      <ul class="legend quiet">
        <li>
          <span class="swatch settled" /> {short(settled)} used
        </li>
        <li>
          <span class="swatch reserved" /> {short(reserved)} reserved by running calls
        </li>
        {learned && (
          <li>
            <span class="swatch beyond" /> learned limit {short(effective)}, configured {short(configured)}
          </li>
        )}
        {closedMs > 0 && <li>closed for {duration(closedMs)} after a refusal</li>}
      </ul>
    </figure>
  );
}

function sentence({ name, used, settled, reserved, effective_limit: limit }: Quota): string {
  return `${quotaWords(name)}: ${number(used)} of ${number(limit)}, of which ${number(settled)} used and ${number(reserved)} reserved`;
}
