// What the commands show on a terminal: widths, foreign text, colours, tables, numbers and CSV.
import { expect, test } from "vitest";
import { auditLines } from "../../src/cli/audit-command.ts";
import { age, dollars, duration, rate, short } from "../../src/cli/formats.ts";
import { printTable, tableLines } from "../../src/cli/table.ts";
import { broken, columnsOf, cut, oneLine, paintFor, printable } from "../../src/cli/terminal.ts";
import { csvRow } from "../../src/domain/csv.ts";

test("foreign text on one line has no character that controls a terminal", () => {
  expect(oneLine("a\tb\r\nc")).toBe("a b c");
  expect(oneLine("x\u001b[2J\u009b\u0007\u0000y")).toBe("x?[2J???y");
  // Turns the direction of the text that follows.
  expect(oneLine("ab\u202ecd\u2066")).toBe("ab?cd?");
  expect(printable("line 1\r\n\tline 2\u001b]0;title\u0007")).toBe("line 1\n\tline 2?]0;title?");
});

test("columns count wide and combining characters as a terminal does", () => {
  expect(columnsOf("abc")).toBe(3);
  expect(columnsOf("日本語")).toBe(6);
  expect(columnsOf("e\u0301")).toBe(1);
  expect(columnsOf("🚀")).toBe(2);
  expect(cut("日本語", 5)).toBe("日本…");
  expect(cut("abcdef", 4)).toBe("abc…");
  expect(cut("abc", 3)).toBe("abc");
  expect(columnsOf("\u001b[31mabc\u001b[0m")).toBe(3);
  expect(cut("\u001b[31mabc\u001b[0mdef", 3)).toBe("\u001b[31mab\u001b[0m…");
});

test("colours only on a terminal, and never with NO_COLOR or a dumb terminal", () => {
  const terminal = { write: () => {}, isTTY: true };
  expect(paintFor(terminal, {})("red", "x")).toBe("\u001b[31mx\u001b[0m");
  expect(paintFor(terminal, { NO_COLOR: "1" })("red", "x")).toBe("x");
  expect(paintFor(terminal, { TERM: "dumb" })("red", "x")).toBe("x");
  expect(paintFor({ write: () => {} }, {})("red", "x")).toBe("x");
});

const columns = [{ title: "job" }, { title: "n", align: "right" }, { title: "error", atLeast: 5 }] as const;

test("a table is aligned; numbers go to the right", () => {
  expect(
    tableLines(
      columns,
      [
        ["a", "1", "x"],
        ["long", "1,000", "words of it"],
      ],
      80,
    ),
  ).toEqual(["job       n  error", "a         1  x", "long  1,000  words of it"]);
});

test("a table that is too wide has its flexible cells cut, and then the ends of its lines", () => {
  const rows = [["abcdefgh", "1", "a long reason\nwith \u001b[31mcontrol"]];
  expect(tableLines(columns, rows, 24)).toEqual(["job       n  error", "abcdefgh  1  a long rea…"]);
  expect(tableLines(columns, rows, 12)).toEqual(["job       n…", "abcdefgh  1…"]);
  expect(Math.max(...tableLines(columns, rows, Number.POSITIVE_INFINITY).map((line) => line.length))).toBe(44);
});

test("names are cut in their middle, and a column without any text is left out", () => {
  const named = [
    { title: "quota", atLeast: 9, cutAt: "middle" },
    { title: "reason", optional: true },
  ] as const;
  expect(tableLines(named, [["bedrock/us-east-1/m:requests/minute", ""]], 13)).toEqual(["quota", "bedroc…minute"]);
  expect(tableLines(named, [["m", "why"]], 13)).toEqual(["quota  reason", "m      why"]);
});

test("a long name continues on the next line, so that names that differ in their middle stay apart", () => {
  const wrapping = [
    { title: "quota", atLeast: 8, cutAt: "wrap" },
    { title: "used", align: "right" },
  ] as const;
  const rows = [
    ["bedrock/us-east-1/one-model:0:tokens/minute", "1"],
    ["bedrock/us-east-1/two-model:0:tokens/minute", "2"],
  ];
  expect(tableLines(wrapping, rows, 25)).toEqual([
    ...["quota                used", "bedrock/us-east-1/      1", "one-model:0:tokens/", "minute"],
    ...["bedrock/us-east-1/      2", "two-model:0:tokens/", "minute"],
  ]);
  expect(broken("abcdefghij/k", 4)).toEqual(["abcd", "efgh", "ij/k"]);
  expect(broken("", 4)).toEqual([""]);
});

test("a table without room leaves out columns in their order, and never those without one", () => {
  const droppable = [
    { title: "day" },
    { title: "model", atLeast: 6 },
    { title: "jobs", align: "right", dropOrder: 2 },
    { title: "cache", align: "right", dropOrder: 1 },
    { title: "cost", align: "right" },
  ] as const;
  const rows = [["2030-01-31", "nova-lite", "1", "0", "$0.0123"]];
  const widths = [43, 40, 37, 31, 30].map((width) => tableLines(droppable, rows, width)[1]);
  expect(widths).toEqual([
    "2030-01-31  nova-lite     1      0  $0.0123",
    "2030-01-31  nova-…     1      0  $0.0123",
    "2030-01-31  nova-lite     1  $0.0123",
    "2030-01-31  nova-lite  $0.0123",
    "2030-01-31  nova-lite  $0.0123",
  ]);
});

test("the audit log keeps ids whole on a narrow terminal", () => {
  const id = `file-${"0123456789abcdef".repeat(2)}`;
  const actor = { kind: "key", key_id: "k", key_name: "alice", tenant: "t", admin: true, address: null } as const;
  const entry = {
    ...{ id: "1", at: "2030-01-31T12:23:59.000Z", action: "file.delete", actor, count: null, result: "ok" },
    target: { type: "file", id },
    details: { tenant: "acme", purpose: "batch" },
  };
  const out = { write: () => {}, isTTY: true };
  expect(auditLines([entry], { ...out, columns: 120 })[1]).toBe(
    `2030-01-31 12:23:59  file.delete  alice  file ${id}, tenant acme, purpose batch`,
  );
  expect(auditLines([entry, { ...entry, target: null, details: {} }], { ...out, columns: 52 }).slice(1)).toEqual([
    "2030-01-31 12:23:59  file.delete  alice",
    `  file ${id}, tenant`,
    "  acme, purpose batch",
    "2030-01-31 12:23:59  file.delete  alice",
  ]);
});

test("a table fits the terminal, and is whole elsewhere", () => {
  const rows = [["a", "1", "x".repeat(100)]];
  const printed = (isTTY: boolean) => {
    let text = "";
    printTable(columns, rows, { write: (part) => (text += part), isTTY, columns: 30 });
    return text.split("\n");
  };
  expect(printed(false)[1]).toHaveLength(8 + 100);
  expect(columnsOf(printed(true)[1]!)).toBe(30);
});

test("numbers as people read them", () => {
  expect([0, 12, 950.26, 1_234, 99_949, 123_456, 4_500_000].map(short)).toEqual([
    ...["0", "12", "950.3", "1.2k", "99.9k", "123k", "4.5M"],
  ]);
  expect([0, 499, 45_000, 200_000, 7_500_000, 187_200_000].map(duration)).toEqual([
    ...["0 s", "0 s", "45 s", "3 min 20 s", "2 h 5 min", "2 d 4 h"],
  ]);
  expect(age("2030-01-01T00:00:00Z", Date.parse("2030-01-01T00:05:59Z"))).toBe("5m");
  expect([0, 38.4, 2.5, 0.5, 0.001].map(rate)).toEqual(["0/s", "38/s", "2.5/s", "30/min", "3.6/h"]);
  expect([0, 0.0123, 1234.5].map(dollars)).toEqual(["$0", "$0.0123", "$1,234.50"]);
});

test.each([
  ["=1+1", '"\'=1+1"'],
  ["+49 30 1", '"\'+49 30 1"'],
  ["-2", '"\'-2"'],
  ["@SUM(A1)", '"\'@SUM(A1)"'],
  ["\t=1", '"\'\t=1"'],
  ["\r\n=1", '"\'\r\n=1"'],
  ["  =1", '"\'  =1"'],
  ["＝1", '"\'＝1"'],
  ['=HYPERLINK("http://x")', '"\'=HYPERLINK(""http://x"")"'],
  ["a,b", '"a,b"'],
  ['say "a"', '"say ""a"""'],
  ["two\nlines", '"two\nlines"'],
  ["plain", "plain"],
  [-2, "-2"],
  [null, ""],
  [undefined, ""],
  [false, "false"],
])("CSV: %j is a cell that a spreadsheet shows and does not run", (value, cell) => {
  expect(csvRow([value, "x"])).toBe(`${cell},x\r\n`);
});
