// Generates texts for schemas: of a length, of a format, and for a simple pattern.

/** Returns a text such as "synthetic city 17", cut or padded to a length. */
export function syntheticText(name: string, random: () => number, { min, max }: { min: number; max: number }): string {
  const text = `synthetic ${name.replaceAll("_", " ")} ${Math.floor(random() * 100)}`;
  const filled = text.length < min ? text.padEnd(Math.min(min, 100_000), " synthetic") : text;
  return Array.from(filled).slice(0, Math.min(filled.length, max)).join("");
}

function digits(count: number, random: () => number, alphabet = "0123456789"): string {
  return Array.from({ length: count }, () => alphabet[Math.floor(random() * alphabet.length)]).join("");
}

const hex = "0123456789abcdef";

const formats: Record<string, (random: () => number) => string> = {
  "date-time": (random) => `${date(random)}T12:00:00Z`,
  date,
  time: () => "12:00:00Z",
  duration: () => "PT1H",
  email: (random) => `synthetic.${digits(3, random)}@example.com`,
  "idn-email": (random) => `synthetic.${digits(3, random)}@example.com`,
  hostname: (random) => `synthetic-${digits(3, random)}.example.com`,
  "idn-hostname": (random) => `synthetic-${digits(3, random)}.example.com`,
  uri: (random) => `https://example.com/synthetic/${digits(3, random)}`,
  url: (random) => `https://example.com/synthetic/${digits(3, random)}`,
  "uri-reference": (random) => `/synthetic/${digits(3, random)}`,
  iri: (random) => `https://example.com/synthetic/${digits(3, random)}`,
  ipv4: (random) => `192.0.2.${Math.floor(random() * 256)}`,
  ipv6: (random) => `2001:db8::${digits(4, random, hex.slice(1))}`,
  // The third group begins with the version, the fourth with the variant.
  uuid: (random) =>
    `${digits(8, random, hex)}-${digits(4, random, hex)}-4${digits(3, random, hex)}-8${digits(3, random, hex)}-${digits(12, random, hex)}`,
  "json-pointer": () => "/synthetic",
  regex: () => "synthetic",
  base64: () => Buffer.from("synthetic").toString("base64"),
  byte: () => Buffer.from("synthetic").toString("base64"),
};

function date(random: () => number): string {
  return `20${digits(2, random, "12")}-0${digits(1, random, "123456789")}-1${digits(1, random)}`;
}

/** Returns a text of a format, or undefined for an unknown format. */
export function textOfFormat(format: string, random: () => number): string | undefined {
  return Object.hasOwn(formats, format) ? formats[format]!(random) : undefined;
}

/** Quantifiers without an upper bound add at most this many repetitions to the minimum. */
const fewMore = 3;

/** Maximum number of parts and class members that are written or read for one pattern. */
const maxPatternSteps = 20_000;

/**
 * Returns a text that matches a pattern of literals, classes, groups, alternatives and quantifiers. Returns undefined
 * for any other pattern. Does not match the text against the pattern, because backtracking can take unlimited time.
 * @param onSteps called with the number of steps that the pattern took
 */
export function textOfPattern(
  pattern: string,
  random: () => number,
  onSteps: (steps: number) => void = () => {},
): string | undefined {
  const writer = new PatternWriter(pattern, random);
  try {
    new RegExp(pattern, "u");
    return writer.write();
  } catch {
    return undefined;
  } finally {
    onSteps(writer.steps);
  }
}

const classes: Record<string, string> = {
  d: "0123456789",
  w: "abcdefghijklmnopqrstuvwxyz",
  s: " ",
  D: "abc",
  W: "-",
  S: "abc",
};
const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));

class PatternWriter {
  readonly #pattern: string;
  readonly #random: () => number;
  #at = 0;
  /** Number of steps so far. */
  steps = 0;

  constructor(pattern: string, random: () => number) {
    this.#pattern = pattern;
    this.#random = random;
  }

  write(): string {
    const text = this.#alternatives()();
    if (this.#at < this.#pattern.length) throw new SyntaxError("unbalanced");
    return text;
  }

  #step(): void {
    if (++this.steps > maxPatternSteps) throw new RangeError("too much work");
  }

  #pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)]!;
  }

  /**
   * Reads alternatives up to a closing bracket or the end. Returns a function that writes one of them, chosen anew each
   * time.
   */
  #alternatives(): () => string {
    const branches: (() => string)[] = [];
    let parts: (() => string)[] = [];
    const end = () => {
      const own = parts;
      branches.push(() => {
        let text = "";
        for (const part of own) {
          this.#step();
          text += part();
        }
        return text;
      });
      parts = [];
    };
    while (this.#at < this.#pattern.length && this.#pattern[this.#at] !== ")") {
      if (this.#pattern[this.#at] === "|") {
        this.#at++;
        end();
      } else parts.push(this.#quantified(this.#atom()));
    }
    end();
    return () => this.#pick(branches)();
  }

  #atom(): () => string {
    const char = this.#pattern[this.#at++]!;
    switch (char) {
      // In the middle of a pattern these match nothing.
      case "^":
        if (!/(?:^|[(|:])$/.test(this.#pattern.slice(Math.max(0, this.#at - 2), this.#at - 1)))
          throw new SyntaxError("not known");
        return () => "";
      case "$":
        if (!/^(?:$|[)|])/.test(this.#pattern.slice(this.#at, this.#at + 1))) throw new SyntaxError("not known");
        return () => "";
      case "(": {
        if (this.#pattern.startsWith("?:", this.#at)) this.#at += 2;
        else if (this.#pattern[this.#at] === "?") throw new SyntaxError("not known");
        const inner = this.#alternatives();
        this.#at++;
        return inner;
      }
      case "[": {
        const members = this.#class();
        return () => this.#pick(members);
      }
      case ".":
        return () => this.#pick(["a", "b", "c"]);
      case "\\": {
        const members = [...this.#escaped()];
        return () => this.#pick(members);
      }
      default:
        return () => char;
    }
  }

  #escaped(): string {
    const char = this.#pattern[this.#at++]!;
    if (Object.hasOwn(classes, char)) return classes[char]!;
    if (/[a-zA-Z0-9]/.test(char)) throw new SyntaxError("not known");
    return char;
  }

  #class(): string[] {
    const negated = this.#pattern[this.#at] === "^";
    if (negated) this.#at++;
    const members = new Set<string>();
    while (this.#pattern[this.#at] !== "]") {
      if (this.#at >= this.#pattern.length) throw new SyntaxError("unbalanced");
      const char = this.#pattern[this.#at++]!;
      if (char === "\\") for (const member of this.#escaped()) members.add(member);
      else if (this.#pattern[this.#at] === "-" && this.#pattern[this.#at + 1] !== "]") {
        const last = this.#pattern[this.#at + 1]!;
        for (let code = char.charCodeAt(0); code <= last.charCodeAt(0); code++) {
          this.#step();
          members.add(String.fromCharCode(code));
        }
        this.#at += 2;
      } else members.add(char);
    }
    this.#at++;
    return negated ? printable.filter((char) => !members.has(char)) : [...members];
  }

  #quantified(atom: () => string): () => string {
    const [whole, plain, least, comma, most] =
      /^(?:([?*+])|\{(\d{1,4})(,?)(\d{0,4})\})\??/.exec(this.#pattern.slice(this.#at)) ?? [];
    if (whole === undefined) return atom;
    this.#at += whole.length;
    const min = plain === "+" ? 1 : Number(least ?? 0);
    const max =
      plain === "?" ? 1 : plain !== undefined ? min + fewMore : comma && !most ? min + fewMore : Number(most || least);
    return () => {
      const count = min + Math.floor(this.#random() * (max - min + 1));
      let text = "";
      for (let i = 0; i < count; i++) {
        this.#step();
        text += atom();
      }
      return text;
    };
  }
}
