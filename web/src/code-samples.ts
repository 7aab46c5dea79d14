// A call of the API as code that runs as it is copied: curl, and Python and TypeScript without any package. Pure.

export interface SampledCall {
  method: "GET" | "POST";
  url: string;
  body?: unknown;
  /** Whether the service asks for an API key. The code takes it from the environment. */
  needsKey: boolean;
}

export type Language = "curl" | "Python" | "TypeScript";
export const languages: readonly Language[] = ["curl", "Python", "TypeScript"];

export function codeOf(language: Language, call: SampledCall): string {
  switch (language) {
    case "curl":
      return curlOf(call);
    case "Python":
      return pythonOf(call);
    case "TypeScript":
      return typeScriptOf(call);
  }
}

function curlOf({ method, url, body, needsKey }: SampledCall): string {
  const parts = [`curl ${method === "GET" ? "" : `-X ${method} `}${shellQuoted(url)}`];
  if (needsKey) parts.push(`-H "Authorization: Bearer $SLUICE_API_KEY"`);
  if (body !== undefined) {
    parts.push("-H 'Content-Type: application/json'", `-d ${shellQuoted(JSON.stringify(body, undefined, 2))}`);
  }
  return parts.join(" \\\n  ");
}

function pythonOf({ method, url, body, needsKey }: SampledCall): string {
  const headers = [
    ...(needsKey ? [`"Authorization": "Bearer " + os.environ["SLUICE_API_KEY"]`] : []),
    ...(body === undefined ? [] : [`"Content-Type": "application/json"`]),
  ];
  const fields = [
    JSON.stringify(url),
    `method="${method}"`,
    ...(headers.length > 0 ? [`headers={${headers.join(", ")}}`] : []),
    // A JSON text as a JSON string is a string of Python, too.
    ...(body === undefined ? [] : [`data=${JSON.stringify(JSON.stringify(body))}.encode()`]),
  ];
  return [
    `import json${needsKey ? ", os" : ""}`,
    "from urllib.request import Request, urlopen",
    "",
    `request = Request(\n    ${fields.join(",\n    ")},\n)`,
    "with urlopen(request) as response:",
    "    print(json.load(response))",
  ].join("\n");
}

function typeScriptOf({ method, url, body, needsKey }: SampledCall): string {
  const headers = [
    ...(needsKey ? [`authorization: "Bearer " + process.env.SLUICE_API_KEY`] : []),
    ...(body === undefined ? [] : [`"content-type": "application/json"`]),
  ];
  const fields = [
    ...(method === "GET" ? [] : [`method: "${method}"`]),
    ...(headers.length > 0 ? [`headers: { ${headers.join(", ")} }`] : []),
    ...(body === undefined ? [] : [`body: JSON.stringify(${indented(JSON.stringify(body, undefined, 2))})`]),
  ];
  const init = fields.length > 0 ? `, {\n  ${fields.join(",\n  ")},\n}` : "";
  return `const response = await fetch(${JSON.stringify(url)}${init});\nconsole.log(await response.json());`;
}

function indented(text: string): string {
  return text.replaceAll("\n", "\n  ");
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
