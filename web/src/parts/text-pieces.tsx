// A long text in pieces, so that an answer of a megabyte does not stop the page. Foreign text is only ever a text node.
import { useState } from "preact/hooks";
import { bytes } from "../format.ts";

const pieceLength = 65_536;

export function TextPieces({ text }: { text: string }) {
  const [pieces, setPieces] = useState(1);
  const shown = text.slice(0, pieces * pieceLength);
  return (
    <>
      <pre class="text">{shown}</pre>
      {shown.length < text.length && (
        <button type="button" onClick={() => setPieces(pieces + 1)}>
          Show more ({bytes(text.length - shown.length)} left)
        </button>
      )}
    </>
  );
}
