// Uploads a batch over HTTP.

/** Returns the upload of a file with this many lines. */
export function batchForm(lines: number): FormData {
  const line = (i: number) =>
    `${JSON.stringify({
      custom_id: `request-${i}`,
      method: "POST",
      url: "/v1/chat/completions",
      body: { model: "llama", messages: [{ role: "user", content: `Write a line about the number ${i}.` }] },
    })}\n`;
  const form = new FormData();
  form.set("purpose", "batch");
  form.set("file", new Blob([Array.from({ length: lines }, (_, i) => line(i)).join("")]), "bench.jsonl");
  return form;
}

/** Uploads the file and creates its batch. @param url address of the service */
export async function createBatch(url: string, form: FormData): Promise<void> {
  const { id } = await idOf(await fetch(`${url}/v1/files`, { method: "POST", body: form }));
  const body = { input_file_id: id, endpoint: "/v1/chat/completions", completion_window: "24h" };
  const headers = { "content-type": "application/json" };
  await idOf(await fetch(`${url}/v1/batches`, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function idOf(response: Response): Promise<{ id: string }> {
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as { id: string };
}
