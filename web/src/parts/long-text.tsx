// A foreign message that may be long: its beginning, and the whole text on demand.
import { Sentence } from "./names.tsx";
import { TextPieces } from "./text-pieces.tsx";

/** Characters that are shown at once. */
const mostShown = 300;

export function LongText({ text }: { text: string }) {
  if (text.length <= mostShown) return <Sentence text={text} />;
  return (
    <details>
      <summary>{text.slice(0, mostShown)}…</summary>
      <TextPieces text={text} />
    </details>
  );
}
