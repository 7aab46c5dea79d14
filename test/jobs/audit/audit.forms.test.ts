// Every action leaves one entry in the audit log, with the caller who acted and nothing that is secret or private.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type AuditAction, auditActions } from "../../../src/jobs/audit/audit-entry.ts";
import { endpoint, lineOf, startTestService, type TestService } from "../../batches/support.ts";
import { describeForm } from "../../support/forms.ts";
import { startReceiver } from "../../webhooks/receiver.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
const planted = ["planted-prompt", "planted-label", "planted-instructions", "t0ken"];

interface Entry {
  id: string;
  action: AuditAction;
  actor: { kind: string; key_id: string | null; key_name: string | null; tenant: string | null; admin: boolean };
  target: { type: string; id: string } | null;
  details: Record<string, unknown>;
  count: number | null;
  result: string;
}

describeForm((mode) => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService(mode, { file: { webhooks: { allowPrivateNetworks: ["127.0.0.1"] } } });
  });
  afterAll(() => service?.close());

  async function ask(key: string | undefined, method: string, path: string, body?: object | FormData) {
    const isForm = body instanceof FormData;
    const response = await fetch(service.url + path, {
      method,
      headers: {
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(body && !isForm && { "content-type": "application/json" }),
      },
      ...(body && { body: isForm ? body : JSON.stringify(body) }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
    return { status: response.status, body: (await response.json()) as any };
  }
  async function must(...call: Parameters<typeof ask>) {
    const { status, body } = await ask(...call);
    expect(status, `${call[1]} ${call[2]}: ${JSON.stringify(body)}`).toBe(200);
    return body;
  }
  const until = (key: string, path: string, status: string) =>
    vi.waitFor(async () => expect((await must(key, "GET", path)).status).toBe(status), {
      timeout: 30_000,
      interval: 50,
    });

  test("every action leaves one entry with its caller", async () => {
    const receiver = await startReceiver();
    const expected: [AuditAction, string, string, object?][] = [];
    /** Notes the entry that the next call must leave. */
    const expects = (...entry: (typeof expected)[number]) => void expected.push(entry);

    const boss = await must(undefined, "POST", "/v1/keys", { name: "boss", admin: true });
    expects("key.create", "no_key", boss.id, {
      details: { name: "boss", tenant: "boss", admin: true, read_only: false },
    });
    const admin = boss.key as string;
    const tina = await must(admin, "POST", "/v1/keys", { name: "tina", tenant: "t" });
    expects("key.create", "boss", tina.id);
    const tenant = tina.key as string;

    // A waiting job, and its retry.
    const job = {
      ...{ prompt: "planted-prompt", environment: "UAT", not_before: 3600, webhook_url: receiver.url },
      metadata: { ticket: "planted-label" },
    };
    const { job_id } = await must(tenant, "POST", "/v1/jobs", job);
    await must(tenant, "PATCH", `/v1/jobs/${job_id}`, { priority: "batch", not_before: tomorrow });
    expects("job.change", "tina", job_id, { details: { priority: "batch", not_before: tomorrow } });
    await must(admin, "POST", `/v1/jobs/${job_id}/cancel`);
    expects("job.cancel", "boss", job_id, { actor: { tenant: "boss", admin: true, address: "127.0.0.1" } });
    const retried = await must(tenant, "POST", `/v1/jobs/${job_id}/retry`);
    expects("job.retry", "tina", job_id, { details: { new_job: retried.job_id } });
    await until(tenant, `/v1/jobs/${retried.job_id}`, "completed");
    await vi.waitFor(
      async () => {
        const { data } = await must(tenant, "GET", `/v1/webhooks/deliveries?job=${job_id}`);
        expect(data).toMatchObject([{ status: "delivered" }]);
      },
      { timeout: 30_000, interval: 50 },
    );
    await must(tenant, "POST", `/v1/webhooks/deliveries/msg_${job_id}/redeliver`);
    expects("webhook.redeliver", "tina", `msg_${job_id}`);
    await must(tenant, "DELETE", `/v1/jobs/${job_id}`);
    expects("job.delete", "tina", job_id);

    // Many jobs.
    for (let i = 0; i < 3; i++) await must(tenant, "POST", "/v1/jobs", job);
    const filter = { environment: "UAT", metadata: { ticket: "planted-label" } };
    await must(tenant, "POST", "/v1/jobs/cancel", { ...filter, dry_run: true });
    const shown = { environment: "UAT", metadata: ["ticket"] };
    await must(tenant, "POST", "/v1/jobs/cancel", filter);
    expects("job.cancel", "tina", "", { details: shown, count: 3 });
    await must(tenant, "POST", "/v1/jobs/retry", { ...filter, status: "cancelled" });
    expects("job.retry", "tina", "", { details: { ...shown, status: "cancelled" }, count: 3 });

    const response = await must(tenant, "POST", "/v1/responses", {
      ...{ model: "llama3-3-70b", input: "planted-prompt", instructions: "planted-instructions", background: true },
    });
    await must(tenant, "DELETE", `/v1/responses/${response.id}`);
    const hex = response.id.slice("resp_".length);
    expects("response.delete", "tina", hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"));

    // Pauses, while which a batch waits.
    await must(tenant, "POST", "/v1/pause", { tenant: "t", environment: "UAT", reason: "Moving the account." });
    const details = { environment: "UAT", reason: "Moving the account." };
    expects("calls.pause", "tina", "t", { target: { type: "tenant" }, details });
    const form = new FormData();
    form.set("purpose", "batch");
    form.set("file", new Blob([lineOf("a", "planted-prompt")]), "in.jsonl");
    const [file, unused] = await Promise.all([1, 2].map(() => must(tenant, "POST", "/v1/files", form)));
    await must(tenant, "DELETE", `/v1/files/${unused.id}`);
    expects("file.delete", "tina", unused.id);
    const request = { input_file_id: file.id, endpoint, completion_window: "24h" };
    const batch = await must(tenant, "POST", "/v1/batches", request);
    await until(tenant, `/v1/batches/${batch.id}`, "in_progress");
    await must(tenant, "POST", `/v1/batches/${batch.id}/cancel`);
    expects("batch.cancel", "tina", batch.id);
    await until(tenant, `/v1/batches/${batch.id}`, "cancelled");
    const again = await must(tenant, "POST", `/v1/batches/${batch.id}/retry`);
    expects("batch.retry", "tina", batch.id, { details: { new_batch: again.id } });
    await must(tenant, "DELETE", `/v1/batches/${batch.id}`);
    expects("batch.delete", "tina", batch.id);
    await must(tenant, "POST", "/v1/resume", { tenant: "t", environment: "UAT" });
    expects("calls.resume", "tina", "t");
    const { secret } = await must(tenant, "POST", "/v1/webhooks/secret/rotate");
    expects("webhook_secret.rotate", "tina", "t");

    // What only an admin may do.
    const { deployments, quotas } = await must(admin, "GET", "/v1/deployments");
    const [quota, deployment] = [quotas[0].name, deployments[0].id];
    await must(admin, "POST", `/v1/quotas/${encodeURIComponent(quota)}/reset`);
    expects("quota.reset", "boss", quota);
    await must(admin, "POST", `/v1/deployments/${encodeURIComponent(deployment)}/reinstate`);
    expects("deployment.reinstate", "boss", deployment);
    await must(admin, "POST", "/v1/pause", { model: "llama3-3-70b" });
    expects("calls.pause", "boss", "llama3-3-70b", { target: { type: "model" } });
    await must(admin, "POST", "/v1/resume", { model: "llama3-3-70b" });
    expects("calls.resume", "boss", "llama3-3-70b");
    await must(admin, "POST", "/v1/config/reload");
    expects("config.reload", "boss", "");
    await service.reload();
    expects("config.reload", "service", "");
    await must(admin, "POST", `/v1/keys/${tina.id}/revoke`);
    expects("key.revoke", "boss", tina.id, { target: { type: "key" } });

    const { data } = (await must(admin, "GET", "/v1/audit?limit=1000")) as { data: Entry[] };
    const who = ({ actor }: Entry) => actor.key_name ?? actor.kind;
    expect(data.map((entry) => [entry.action, who(entry), entry.target?.id ?? ""]).reverse()).toEqual(
      expected.map(([action, actor, target]) => [action, actor, target]),
    );
    for (const [i, [action, , , fields = {}]] of expected.entries()) {
      expect(data.at(-1 - i), action).toMatchObject({ result: "ok", ...fields });
    }
    // The import and the restore are tested with their commands.
    expect(new Set([...data.map(({ action }) => action), "queue.import", "data.restore"])).toEqual(
      new Set(auditActions),
    );

    const text = JSON.stringify(data);
    for (const hidden of [...planted, secret, admin.slice(-50), tenant.slice(-50)]) expect(text).not.toContain(hidden);

    const other = await must(admin, "POST", "/v1/keys", { name: "other" });
    expect(await ask(other.key, "GET", "/v1/audit")).toMatchObject({ status: 403 });
    const auditor = await must(admin, "POST", "/v1/keys", { name: "auditor", admin: true, read_only: true });
    const ofTina = await must(auditor.key, "GET", `/v1/audit?key=${tina.id}&action=job.cancel`);
    expect(ofTina.data).toMatchObject([{ action: "job.cancel", actor: { key_id: tina.id, tenant: "t" } }]);
  });
});
