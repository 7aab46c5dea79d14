// Submits one prompt and shows its place in the queue, then its tokens.
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { CodeSamples } from "../parts/code-samples.tsx";
import { Failure } from "../parts/notice.tsx";
import { RunningJob } from "../parts/running-job.tsx";
import { type Job, priorities } from "../resources.ts";
import { mayChange, session } from "../session.ts";
import { useTitle } from "../use-title.ts";

export function PlaygroundPage() {
  const { environments = [], models = [], default_model } = session.value ?? {};
  const [prompt, setPrompt] = useState("");
  const [system, setSystem] = useState("");
  const [model, setModel] = useState(default_model ?? models[0] ?? "");
  const [environment, setEnvironment] = useState(environments[0] ?? "");
  const [priority, setPriority] = useState("interactive");
  const [maxTokens, setMaxTokens] = useState("");
  const [job, setJob] = useState<string | undefined>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  useTitle("Playground");
  if (!mayChange()) {
    return (
      <>
        <h1>Playground</h1>
        <p class="empty">This API key is read-only, so it cannot submit prompts.</p>
      </>
    );
  }

  const request = {
    prompt,
    model,
    environment,
    priority,
    ...(system.trim() !== "" && { system }),
    ...(maxTokens !== "" && { max_tokens: Number(maxTokens) }),
  };

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      setJob((await call<Job>("v1/jobs", { method: "POST", body: request })).job_id);
    } catch (reason) {
      setError(reason);
    }
    setBusy(false);
  }

  const choice = (label: string, value: string, options: readonly string[], set: (value: string) => void) => (
    <label>
      {label}
      <select value={value} onChange={({ currentTarget }) => set(currentTarget.value)}>
        {options.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    </label>
  );

  return (
    <>
      <h1>Playground</h1>
      <form onSubmit={submit} class="playground">
        <label>
          Prompt
          <textarea
            rows={6}
            required
            value={prompt}
            onInput={({ currentTarget }) => setPrompt(currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
            }}
          />
        </label>
        <label>
          System text (optional)
          <textarea rows={2} value={system} onInput={({ currentTarget }) => setSystem(currentTarget.value)} />
        </label>
        <div class="fields">
          {choice("Model", model, models, setModel)}
          {choice("Environment", environment, environments, setEnvironment)}
          {choice("Priority", priority, priorities, setPriority)}
          <label>
            Max tokens
            <input
              type="number"
              min={1}
              placeholder="default"
              value={maxTokens}
              onInput={({ currentTarget }) => setMaxTokens(currentTarget.value)}
            />
          </label>
          <button type="submit" class="primary" disabled={busy || prompt === ""}>
            {busy ? "Submitting…" : "Submit"}
          </button>
        </div>
        <Failure error={error} />
      </form>
      {job && <RunningJob key={job} id={job} />}
      <CodeSamples title="The same call as code" method="POST" path="/v1/jobs" body={request} />
    </>
  );
}
