// JSON that has to stay the text that it is: parsed and printed by JavaScript, 2512292042121000001 becomes
// 2512292042121000000, `1.0` becomes `1`, and keys that look like numbers move to the front.
import { randomUUID } from "node:crypto";

/** Texts that are printed in the middle of other JSON. While it is printed, a unique string holds the place of each. */
export class JsonTexts {
  readonly #texts: string[] = [];
  // A caller cannot know the UUID, so no other string of the JSON is taken for a place.
  readonly #mark = `json-text-${randomUUID()}-`;

  /** Returns the string to print in place of the text. */
  place(text: string): string {
    return `${this.#mark}${this.#texts.push(text) - 1}`;
  }

  /** Returns the text that a string of `place` stands for; undefined for any other string. */
  at(place: string): string | undefined {
    return place.startsWith(this.#mark) ? this.#texts[Number(place.slice(this.#mark.length))] : undefined;
  }

  get isEmpty(): boolean {
    return this.#texts.length === 0;
  }

  /** Puts the texts into JSON in which the strings of `place` were printed. */
  insertInto(json: string): string {
    if (this.isEmpty) return json;
    return json.replace(new RegExp(`"${this.#mark}(\\d+)"`, "g"), (_, index) => this.#texts[index]!);
  }
}

/** Only set while `printJson` prints, which nothing can interrupt. */
let printing: JsonTexts | undefined;

/** A value of which only its JSON text is exact. `printJson` prints the text; everything else prints what it parses to. */
export class JsonText {
  readonly text: string;

  /** @param text valid JSON */
  constructor(text: string) {
    this.text = text;
  }

  toJSON(): unknown {
    return printing ? printing.place(this.text) : JSON.parse(this.text);
  }
}

/** As `JSON.stringify`, but each JsonText is printed as its own text. */
export function printJson(value: unknown, replacer?: (key: string, value: unknown) => unknown): string {
  const texts = new JsonTexts();
  printing = texts;
  try {
    return texts.insertInto(JSON.stringify(value, replacer));
  } finally {
    printing = undefined;
  }
}
