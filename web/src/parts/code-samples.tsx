// The same call as code, to copy into a program.
import { useState } from "preact/hooks";
import { base } from "../api.ts";
import { session } from "../session.ts";
import { Copy } from "./copy.tsx";

export interface CodeSamplesProps {
  title: string;
  method: "GET" | "POST";
  /** Below the service's address, such as `/v1/jobs`. */
  path: string;
  body?: unknown;
}

type Language = "curl" | "Python" | "TypeScript";
const languages: readonly Language[] = ["curl", "Python", "TypeScript"];

export function CodeSamples({ title, ...call }: CodeSamplesProps) {
  const [language, setLanguage] = useState<Language>("curl");
  const code = codeOf(language, call);
  return (
    <details class="code">
      <summary>{title}</summary>
      <div class="tabs">
        {languages.map((name) => (
          <button key={name} type="button" aria-pressed={name === language} onClick={() => setLanguage(name)}>
            {name}
          </button>
        ))}
        <Copy text={code} />
      </div>
      <pre class="text">{code}</pre>
    </details>
  );
}

function codeOf(language: Language, { method, path, body }: Omit<CodeSamplesProps, "title">): string {
  // The service is one step above the page.
  const url = new URL(`..${path}`, base).href;
  const needsKey = session.value?.sign_in_required ?? false;
  const json = body === undefined ? undefined : JSON.stringify(body, undefined, 2);
  switch (language) {
    case "curl": {
      const parts = [`curl ${method === "GET" ? "" : `-X ${method} `}${shellQuoted(url)}`];
      if (needsKey) parts.push(`-H "Authorization: Bearer $SLUICE_API_KEY"`);
      if (json) parts.push("-H 'Content-Type: application/json'", `-d ${shellQuoted(json)}`);
      return parts.join(" \\\n  ");
    }
    case "Python": {
      const headers = needsKey ? `, headers={"Authorization": f"Bearer {os.environ['SLUICE_API_KEY']}"}` : "";
      const sent = json ? `, json=json.loads(${JSON.stringify(JSON.stringify(body))})` : "";
      const imports = [...(json ? ["json"] : []), ...(needsKey ? ["os"] : [])];
      return [
        ...(imports.length > 0 ? [`import ${imports.join(", ")}`] : []),
        "import requests",
        "",
        `response = requests.${method.toLowerCase()}(${JSON.stringify(url)}${sent}${headers})`,
        "response.raise_for_status()",
        "print(response.json())",
      ].join("\n");
    }
    case "TypeScript": {
      const headers = [
        ...(needsKey ? ['authorization: "Bearer " + process.env.SLUICE_API_KEY'] : []),
        ...(json ? ['"content-type": "application/json"'] : []),
      ];
      const fields = [
        ...(method === "GET" ? [] : [`method: "${method}"`]),
        ...(headers.length > 0 ? [`headers: { ${headers.join(", ")} }`] : []),
        ...(json ? [`body: JSON.stringify(${json})`] : []),
      ];
      const init = fields.length > 0 ? `, {\n  ${fields.join(",\n  ")},\n}` : "";
      return `const response = await fetch(${JSON.stringify(url)}${init});\nconsole.log(await response.json());`;
    }
  }
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
