// The same call as code, to copy into a program.
import { useState } from "preact/hooks";
import { base } from "../api.ts";
import { codeOf, type Language, languages } from "../code-samples.ts";
import { session } from "../session.ts";
import { Copy } from "./copy.tsx";

export interface CodeSamplesProps {
  title: string;
  method: "GET" | "POST";
  /** Below the service's address, such as `/v1/jobs`. */
  path: string;
  body?: unknown;
}

export function CodeSamples({ title, path, ...call }: CodeSamplesProps) {
  const [language, setLanguage] = useState<Language>("curl");
  // The service is one step above the page.
  const url = new URL(`..${path}`, base).href;
  const code = codeOf(language, { ...call, url, needsKey: session.value?.sign_in_required ?? false });
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
