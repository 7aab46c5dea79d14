// Names of deployments and quotas in words, with the technical name in the title.
import { snapshot } from "../live.ts";
import { deploymentWords, quotaWords } from "../names.ts";
import { Time } from "./time.tsx";

export function DeploymentName({ id }: { id: string }) {
  return <span title={id}>{deploymentWords(id)}</span>;
}

export function QuotaName({ name }: { name: string }) {
  return <span title={name}>{quotaWords(name)}</span>;
}

/** `2030-01-31T12:00:00.000Z`, or `2030-01-31 12:00Z` as in the advice on quotas. */
const utcTime = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z/;

/**
 * A sentence of the service, in which the names of quotas and deployments become words, and times become local. It may
 * quote strangers, so it is isolated from the text around it.
 */
export function Sentence({ text }: { text: string }) {
  return (
    <bdi>
      <Words text={text} />
    </bdi>
  );
}

function Words({ text }: { text: string }) {
  const at = utcTime.exec(text);
  if (at) {
    return (
      <>
        <Words text={text.slice(0, at.index)} />
        <Time at={at[0].replace(" ", "T")} coarse />
        <Words text={text.slice(at.index + at[0].length)} />
      </>
    );
  }
  const { quotas = [], deployments = [] } = snapshot.value ?? {};
  const owned = quotas.flatMap(({ name }) =>
    deployments
      .filter(({ quotas }) => quotas.includes(name))
      .map(({ id }) => ({ found: `the quota ${name} of ${id}`, shown: <QuotaName name={name} /> })),
  );
  const named = [
    ...owned,
    ...quotas.map(({ name }) => ({ found: name, shown: <QuotaName name={name} /> })),
    ...deployments.map(({ id }) => ({ found: id, shown: <DeploymentName id={id} /> })),
  ];
  const first = named
    .map((name) => ({ ...name, at: text.indexOf(name.found) }))
    .filter(({ at }) => at !== -1)
    .sort((a, b) => a.at - b.at || b.found.length - a.found.length)[0];
  if (!first) return <>{text}</>;
  return (
    <>
      {text.slice(0, first.at)}
      {first.shown}
      <Words text={text.slice(first.at + first.found.length)} />
    </>
  );
}
