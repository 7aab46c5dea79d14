// Preserves JSON as the exact text that it is. Parsed and printed by JavaScript, 2512292042121000001 becomes
// 2512292042121000000, `1.0` becomes `1`, and keys that look like numbers move to the front.
import { randomUUID } from "node:crypto";

/** Texts to print verbatim inside other JSON. A unique string marks the place of each while that JSON is printed. */
export class JsonTexts {
  readonly #texts: string[] = [];
  // A caller cannot know the UUID, so no other string of the JSON is mistaken for a mark.
  readonly #mark = `json-text-${randomUUID()}-`;

  /** Returns the string to print in place of the text. */
  place(text: string): string {
    return `${this.#mark}${this.#texts.push(text) - 1}`;
  }

  /** Returns the text that a string from `place` marks, or undefined for any other string. */
  at(place: string): string | undefined {
    return place.startsWith(this.#mark) ? this.#texts[Number(place.slice(this.#mark.length))] : undefined;
  }

  get isEmpty(): boolean {
    return this.#texts.length === 0;
  }

  /** Inserts the texts into JSON that contains strings from `place`. */
  insertInto(json: string): string {
    if (this.isEmpty) return json;
    return json.replace(new RegExp(`"${this.#mark}(\\d+)"`, "g"), (_, index) => this.#texts[index]!);
  }
}

/** Set only while `printJson` runs, which nothing can interrupt. */
let printing: JsonTexts | undefined;

/** A value whose JSON text must stay exact. `printJson` prints the text. Everything else prints its parsed value. */
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

/** Works like `JSON.stringify`, but prints each JsonText as its own text. */
export function printJson(value: unknown, replacer?: (key: string, value: unknown) => unknown): string {
  const texts = new JsonTexts();
  printing = texts;
  try {
    return texts.insertInto(JSON.stringify(value, replacer));
  } finally {
    printing = undefined;
  }
}
