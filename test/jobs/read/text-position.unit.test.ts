// Whatever events arrive, a listener never gets a text with a gap or a wrong join.
import fc from "fast-check";
import { expect, test } from "vitest";
import { TextFollower, type TextNews, textStart } from "../../../src/jobs/read/text-position.ts";

/** What a listener holds who drops all at a restart. */
function heard(news: readonly TextNews[]): string {
  return news.reduce((text, one) => (one.type === "text" ? text + one.text : one.type === "restart" ? "" : text), "");
}

test("pieces in order, and the rest of the record", () => {
  const follower = new TextFollower(textStart);
  expect(follower.piece(1, 0, "Ray")).toEqual([{ type: "text", text: "Ray" }]);
  expect(follower.piece(1, 0, "Ray")).toEqual([]);
  expect(follower.piece(1, 2, "gh")).toEqual([{ type: "gap" }]);
  expect(follower.piece(1, 1, "lei")).toEqual([]);
  expect(follower.ended({ text: "Rayleigh.", attempt: 1 })).toEqual([{ type: "text", text: "leigh." }]);
  expect(follower.ended({ text: "Rayleigh.", attempt: 1 })).toEqual([]);
});

test("what is said again fills what is missing, and what was told is not told twice", () => {
  const follower = new TextFollower(textStart);
  follower.piece(1, 0, "Ray");
  expect(follower.piece(1, 2, "gh")).toEqual([{ type: "gap" }]);
  expect(follower.piece(1, 0, "Rayleigh", 3)).toEqual([{ type: "text", text: "leigh" }]);
  expect(follower.piece(1, 0, "Rayleigh", 3)).toEqual([]);
  expect(follower.piece(1, 3, " s")).toEqual([{ type: "text", text: " s" }]);
  expect(follower.ended({ text: "Rayleigh s", attempt: 1 })).toEqual([]);
});

test("who comes back and knows only how much it was told goes on from there", () => {
  const follower = new TextFollower({ attempt: 1, next: 0, chars: 4 });
  expect(follower.piece(1, 3, "s")).toEqual([{ type: "gap" }]);
  expect(follower.piece(1, 0, "Ray", 1)).toEqual([]);
  expect(follower.piece(1, 0, "Rayleighs", 4)).toEqual([{ type: "text", text: "eighs" }]);
  expect(follower.piece(1, 4, ".")).toEqual([{ type: "text", text: "." }]);
});

test("another attempt voids what was told, and nothing if nothing was", () => {
  const follower = new TextFollower(textStart);
  expect(follower.attemptBegan(1)).toEqual([]);
  expect(follower.attemptBegan(2)).toEqual([]);
  expect(follower.piece(1, 0, "late")).toEqual([]);
  expect(follower.piece(2, 0, "a")).toHaveLength(1);
  expect(follower.piece(3, 0, "b")).toEqual([{ type: "restart" }, { type: "text", text: "b" }]);
  expect(follower.ended({ text: "a, and more", attempt: 2 })).toEqual([
    { type: "restart" },
    { type: "text", text: "a, and more" },
  ]);
});

test("who comes back with a position that the text never had hears all of it", () => {
  const follower = new TextFollower({ attempt: 1, next: 9, chars: 99 });
  expect(follower.ended({ text: "short", attempt: 1 })).toEqual([{ type: "restart" }, { type: "text", text: "short" }]);
});

test("whatever pieces are missed, doubled or cut off by coming back, the listener ends with the stored text", () => {
  const attempts = fc.array(fc.array(fc.string({ maxLength: 4 }), { maxLength: 8 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(attempts, fc.infiniteStream(fc.nat(9)), fc.boolean(), (texts, choices, lateAnswer) => {
      const choice = () => choices.next().value as number;
      let follower = new TextFollower(textStart);
      const news: TextNews[] = [];
      for (const [i, pieces] of texts.entries()) {
        if (choice() > 3) news.push(...follower.attemptBegan(i + 1));
        for (const [index, piece] of pieces.entries()) {
          const dice = choice();
          if (dice === 0) continue;
          if (dice === 1) news.push(...follower.piece(i + 1, index, piece));
          if (dice === 2) follower = new TextFollower(follower.position);
          if (dice === 3) follower = new TextFollower({ ...follower.position, next: 0 });
          const said = pieces.slice(0, index).join("");
          if (dice > 7 && index > 0) news.push(...follower.piece(i + 1, 0, said, index));
          news.push(...follower.piece(i + 1, index, piece));
        }
      }
      const last = lateAnswer ? 1 + (choice() % texts.length) : texts.length;
      const text = texts[last - 1]!.join("");
      news.push(...follower.ended({ text, attempt: last }));
      expect(heard(news)).toBe(text);
    }),
    { numRuns: 2000 },
  );
});
