// Uploads a JSONL file and starts a batch from it. An XMLHttpRequest, because fetch does not report the progress of an
// upload.
import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { ApiError, base, call } from "../api.ts";
import { bytes, percent } from "../format.ts";
import type { BatchResource } from "../resources.ts";
import { to } from "../routes.ts";
import { session } from "../session.ts";
import { Confirm } from "./confirm.tsx";

const endpoints = ["/v1/chat/completions", "/v1/responses"];

export function BatchUpload({ onClose }: { onClose: () => void }) {
  const { route } = useLocation();
  const environments = session.value?.environments ?? [];
  const [file, setFile] = useState<File | undefined>();
  const [environment, setEnvironment] = useState(environments[0] ?? "");
  const [endpoint, setEndpoint] = useState(endpoints[0]!);
  const [window, setWindow] = useState("24h");
  const [sent, setSent] = useState<number | undefined>();

  async function run(): Promise<void> {
    const { id } = await upload(file!, environment, setSent);
    const batch = await call<BatchResource>("v1/batches", {
      method: "POST",
      body: { input_file_id: id, endpoint, completion_window: window },
    });
    route(to(`batches/${batch.id}`));
  }

  return (
    <Confirm title="Upload a batch" action="Upload and start" disabled={!file} onConfirm={run} onClose={onClose}>
      <label>
        JSONL file
        <input
          type="file"
          accept=".jsonl,.ndjson,.json,.txt"
          required
          onChange={({ currentTarget }) => setFile(currentTarget.files?.[0])}
        />
      </label>
      <p class="quiet">
        One request a line:{" "}
        <code>{'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {…}}'}</code>
      </p>
      <div class="fields">
        <label>
          Environment
          <select value={environment} onChange={({ currentTarget }) => setEnvironment(currentTarget.value)}>
            {environments.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          Endpoint
          <select value={endpoint} onChange={({ currentTarget }) => setEndpoint(currentTarget.value)}>
            {endpoints.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          Time limit
          <select value={window} onChange={({ currentTarget }) => setWindow(currentTarget.value)}>
            {["1h", "6h", "24h", "3d", "7d", "14d"].map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      </div>
      {file && sent !== undefined && (
        <p>
          <progress value={sent} max={file.size || 1} aria-label="Upload" /> {percent(sent, file.size)} of{" "}
          {bytes(file.size)}
        </p>
      )}
    </Confirm>
  );
}

function upload(file: File, environment: string, onSent: (bytes: number) => void): Promise<{ id: string }> {
  const form = new FormData();
  form.set("purpose", "batch");
  form.set("file", file);
  const request = new XMLHttpRequest();
  request.open("POST", new URL("api/v1/files", base));
  request.setRequestHeader("x-sluice-environment", environment);
  request.upload.onprogress = ({ loaded }) => onSent(Math.min(loaded, file.size));
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(new ApiError(0, "unreachable", "The connection was lost during the upload."));
    request.onload = () => {
      try {
        const answer = JSON.parse(request.responseText);
        if (request.status === 200) return resolve(answer);
        reject(new ApiError(request.status, answer.error.code, answer.error.message));
      } catch {
        reject(new ApiError(request.status, "error", `The service answered with status ${request.status}.`));
      }
    };
    request.send(form);
  });
}
