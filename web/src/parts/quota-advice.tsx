// Which quota to raise, and the text to paste into the provider's form.
import { short } from "../format.ts";
import { useQuery } from "../use-query.ts";
import { Copy } from "./copy.tsx";
import { QuotaName, Sentence } from "./names.tsx";
import { Failure } from "./notice.tsx";

interface Advice {
  quota: string;
  status: "no_history" | "enough" | "bursts" | "restore" | "increase";
  configured_limit: number;
  requested_limit: number | null;
  time_at_limit: number;
  reason: string;
  cautions: string[];
  text: string | null;
}

export function QuotaAdvice() {
  const advice = useQuery<{ quotas: Advice[] }>("v1/quotas/advice", 300_000);
  return (
    <section aria-label="Advice on quotas">
      <h2>Which quotas to raise</h2>
      <Failure error={advice.error} retry={advice.reload} />
      <ul class="plain">
        {advice.data?.quotas.map((one) => (
          <li key={one.quota} class={`notice ${one.requested_limit === null ? "" : "warn"}`}>
            <strong>
              <QuotaName name={one.quota} />
            </strong>
            {one.requested_limit !== null &&
              (one.status === "restore"
                ? `: ask the provider to apply ${short(one.requested_limit)}`
                : `: ask for ${short(one.requested_limit)} instead of ${short(one.configured_limit)}`)}
            <p>
              <Sentence text={[one.reason, ...one.cautions].join(" ")} />
            </p>
            {one.text && (
              <details>
                <summary>Text for the form</summary>
                <Copy text={one.text} />
                <pre class="text">{one.text}</pre>
              </details>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
