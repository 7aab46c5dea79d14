// The labels of a job or a batch, one in a line. They come from strangers, so each is isolated from the text around it.

/** An entry of a list of facts. Shows nothing without labels. */
export function Metadata({ labels }: { labels: Record<string, string> | null | undefined }) {
  const entries = Object.entries(labels ?? {});
  if (entries.length === 0) return null;
  return (
    <div class="whole">
      <dt>Metadata</dt>
      <dd>
        <ul class="plain">
          {entries.map(([name, value]) => (
            <li key={name}>
              <bdi>{name}</bdi>=<bdi>{value}</bdi>
            </li>
          ))}
        </ul>
      </dd>
    </div>
  );
}
