// A caller's own text inside an error message: escaped as JSON and bounded, so that no input can break a line of a log
// or fill a screen.

const maxQuotedLength = 60;

export function quote(text: string): string {
  return text.length <= maxQuotedLength ? JSON.stringify(text) : JSON.stringify(`${text.slice(0, maxQuotedLength)}...`);
}
