// Events of a streamed native answer as lines of text, in which Sluice stores them and passes them on while they arrive.

/** An event of a streamed answer: its type and its payload, which is JSON. */
export type NativeEvent = [type: string, payload: string];

/** Returns the line of an event, with its line break. */
export function eventLine(...event: NativeEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** Returns the events of whole lines. */
export function eventsOfLines(lines: string): NativeEvent[] {
  return lines.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as NativeEvent]));
}
