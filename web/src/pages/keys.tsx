// API keys: create (shown once), limits, revoke.
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { limitsOf, usedOf } from "../key-limits.ts";
import { Confirm } from "../parts/confirm.tsx";
import { Copy } from "../parts/copy.tsx";
import { AdminsOnly, Empty, Failure } from "../parts/notice.tsx";
import { NewRows, PagerButtons, pagesOf, usePages } from "../parts/pager.tsx";
import { Scroll } from "../parts/scroll.tsx";
import { Time } from "../parts/time.tsx";
import { type ApiKey, priorities } from "../resources.ts";
import { mayChange, session } from "../session.ts";
import { useTitle } from "../use-title.ts";

export function KeysPage() {
  const pages = usePages("keys", pagesOf<ApiKey>("v1/keys"), (key) => key.id);
  const [creating, setCreating] = useState(false);
  const [created, setCreated] = useState<(ApiKey & { key?: string }) | undefined>();
  const [revoking, setRevoking] = useState<ApiKey | undefined>();
  useTitle("Keys");
  if (!session.value?.admin) return <AdminsOnly title="API keys" />;
  return (
    <>
      <div class="title">
        <h1>API keys</h1>
        {mayChange() && (
          <button type="button" class="primary" onClick={() => setCreating(true)}>
            Create a key
          </button>
        )}
      </div>
      {created?.key && (
        <div class="notice good" role="status">
          <p>
            The key of <strong>{created.name}</strong> is shown only now:
          </p>
          <p>
            <code class="secret">{created.key}</code> <Copy text={created.key} />
          </p>
        </div>
      )}
      <Failure error={pages.error} retry={pages.refresh} />
      <NewRows pages={pages} />
      {pages.rows?.length === 0 && (
        <Empty>
          There are no keys, so every program on this machine may call the service. The first key closes it.
        </Empty>
      )}
      {pages.rows && pages.rows.length > 0 && (
        <Scroll label="API keys">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Key</th>
                <th scope="col">Tenant</th>
                <th scope="col">May</th>
                <th scope="col">Limits</th>
                <th scope="col">Used of them</th>
                <th scope="col">Created</th>
                <th scope="col">Last used</th>
                <th scope="col">State</th>
              </tr>
            </thead>
            <tbody>
              {pages.rows.map((key) => (
                <tr key={key.id} class={key.revoked_at ? "quiet" : undefined}>
                  <td class="wrap">{key.name}</td>
                  <td>
                    <code>{key.hint}</code>
                  </td>
                  <td class="wrap">{key.tenant}</td>
                  <td class="wrap">{rightsOf(key)}</td>
                  <td class="wrap">{limitsOf(key)}</td>
                  <td class="wrap">{usedOf(key)}</td>
                  <td>
                    <Time at={key.created_at} relative />
                  </td>
                  <td>
                    <Time at={key.last_used_at} relative />
                  </td>
                  <td>
                    {key.revoked_at ? (
                      <>
                        revoked <Time at={key.revoked_at} relative />
                      </>
                    ) : mayChange() ? (
                      <button type="button" class="small danger" onClick={() => setRevoking(key)}>
                        Revoke
                      </button>
                    ) : (
                      "valid"
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <PagerButtons pages={pages} />
      {creating && (
        <CreateKey
          onClose={() => setCreating(false)}
          onCreated={(key) => {
            setCreated(key);
            pages.refresh();
          }}
        />
      )}
      {revoking && (
        <Confirm
          title={`Revoke the key ${revoking.name}?`}
          action="Revoke the key"
          danger
          onClose={() => setRevoking(undefined)}
          onConfirm={async () => {
            await call(`v1/keys/${revoking.id}/revoke`, { method: "POST" });
            pages.refresh();
          }}
        >
          <p>Programs that use it are refused at once. Its jobs stay.</p>
        </Confirm>
      )}
    </>
  );
}

function rightsOf(key: ApiKey): string {
  const rights = [
    ...(key.admin ? ["admin"] : []),
    ...(key.read_only ? ["read only"] : []),
    ...(key.environments ? [key.environments.join(", ")] : ["all environments"]),
    ...(key.priority_max ? [`at most ${key.priority_max}`] : []),
    ...(key.regions ? [key.regions.join(", ")] : []),
  ];
  return rights.join("; ");
}

function CreateKey({ onClose, onCreated }: { onClose: () => void; onCreated: (key: ApiKey) => void }) {
  const environments = session.value?.environments ?? [];
  const [name, setName] = useState("");
  const [tenant, setTenant] = useState("");
  const [role, setRole] = useState("tenant");
  const [readOnly, setReadOnly] = useState(false);
  const [allowed, setAllowed] = useState<readonly string[]>([]);
  const [priority, setPriority] = useState("");
  const [tokens, setTokens] = useState("");
  const [budget, setBudget] = useState("");

  async function run(): Promise<void> {
    onCreated(
      await call<ApiKey>("v1/keys", {
        method: "POST",
        body: {
          name: name.trim(),
          ...(tenant.trim() !== "" && { tenant: tenant.trim() }),
          ...(role === "admin" && { admin: true }),
          ...(readOnly && { read_only: true }),
          ...(allowed.length > 0 && { environments: allowed }),
          ...(priority !== "" && { priority_max: priority }),
          ...(tokens !== "" && { daily_tokens: Number(tokens) }),
          ...(budget !== "" && { budget_usd: Number(budget) }),
        },
      }),
    );
  }

  const text = (
    label: string,
    value: string,
    set: (value: string) => void,
    more: { placeholder?: string; required?: boolean } = {},
  ) => (
    <label>
      {label}
      <input
        type="text"
        maxLength={100}
        value={value}
        onInput={({ currentTarget }) => set(currentTarget.value)}
        {...more}
      />
    </label>
  );

  return (
    <Confirm
      title="Create an API key"
      action="Create the key"
      disabled={name.trim() === ""}
      onConfirm={run}
      onClose={onClose}
    >
      <div class="fields">
        {text("Name", name, setName, { required: true })}
        {text("Tenant", tenant, setTenant, { placeholder: "the name" })}
        <label>
          Role
          <select value={role} onChange={({ currentTarget }) => setRole(currentTarget.value)}>
            <option value="tenant">its tenant's jobs</option>
            <option value="admin">admin: everything</option>
          </select>
        </label>
        <label>
          Highest priority
          <select value={priority} onChange={({ currentTarget }) => setPriority(currentTarget.value)}>
            <option value="">any</option>
            {priorities.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
        <label>
          Tokens a day
          <input
            type="number"
            min={1}
            placeholder="no limit"
            value={tokens}
            onInput={({ currentTarget }) => setTokens(currentTarget.value)}
          />
        </label>
        <label>
          Dollars a month
          <input
            type="number"
            min={0}
            step="any"
            placeholder="no limit"
            value={budget}
            onInput={({ currentTarget }) => setBudget(currentTarget.value)}
          />
        </label>
      </div>
      <fieldset>
        <legend>Environments (none chosen: all)</legend>
        {environments.map((environment) => (
          <label key={environment} class="inline">
            <input
              type="checkbox"
              checked={allowed.includes(environment)}
              onChange={({ currentTarget }) =>
                setAllowed(
                  currentTarget.checked ? [...allowed, environment] : allowed.filter((one) => one !== environment),
                )
              }
            />
            {environment}
          </label>
        ))}
      </fieldset>
      <label class="inline">
        <input
          type="checkbox"
          checked={readOnly}
          onChange={({ currentTarget }) => setReadOnly(currentTarget.checked)}
        />
        Read only: it sees everything its role sees and changes nothing
      </label>
    </Confirm>
  );
}
