// API keys: create (shown once), limits, revoke.
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { limitsOf, usedOf } from "../key-limits.ts";
import { Confirm } from "../parts/confirm.tsx";
import { Copy } from "../parts/copy.tsx";
import { List } from "../parts/list.tsx";
import { AdminsOnly } from "../parts/notice.tsx";
import type { Column } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { type ApiKey, priorities } from "../resources.ts";
import { mayChange, session } from "../session.ts";
import { pagesOf, usePages } from "../use-pages.ts";

const columns: Column<ApiKey>[] = [
  { title: "Name", kind: "break", cell: ({ name }) => name },
  { title: "Key", kind: "wide", cell: ({ hint }) => <code>{hint}</code> },
  { title: "Tenant", kind: "break", cell: ({ tenant }) => tenant },
  { title: "May", kind: "wrap", cell: rightsOf },
  {
    title: "Limits",
    kind: "wrap",
    cell: (key) => {
      const used = usedOf(key);
      return (
        <>
          {limitsOf(key)}
          {used !== "–" && <span class="quiet"> (used: {used})</span>}
        </>
      );
    },
  },
  { title: "Created", cell: (key) => <Time at={key.created_at} relative /> },
  { title: "Last used", cell: ({ last_used_at: at }) => at && <Time at={at} relative /> },
];

export function KeysPage() {
  return session.value?.admin ? <Keys /> : <AdminsOnly title="API keys" />;
}

function Keys() {
  const pages = usePages(pagesOf<ApiKey>("v1/keys"), (key) => key.id);
  const [creating, setCreating] = useState(false);
  const [created, setCreated] = useState<(ApiKey & { key?: string }) | undefined>();
  const [revoking, setRevoking] = useState<ApiKey | undefined>();
  const [done, setDone] = useState("");
  const state: Column<ApiKey> = {
    title: "State",
    cell: (key) => {
      if (key.revoked_at) {
        return (
          <>
            revoked <Time at={key.revoked_at} relative />
          </>
        );
      }
      if (!mayChange()) return "valid";
      return (
        <button type="button" class="small danger" aria-label={`Revoke ${key.name}`} onClick={() => setRevoking(key)}>
          Revoke
        </button>
      );
    },
  };
  return (
    <>
      <List
        title="API keys"
        pages={pages}
        columns={[...columns, state]}
        isQuiet={(key) => key.revoked_at !== null}
        done={done}
        empty="There are no keys, so every program on this machine may call the service. The first key closes it."
        action={
          mayChange() && (
            <button type="button" class="primary" onClick={() => setCreating(true)}>
              Create a key
            </button>
          )
        }
      >
        {created?.key && (
          <div class="notice good">
            <p>
              The key of <strong>{created.name}</strong> is shown only now:
            </p>
            <p>
              <code class="secret">{created.key}</code> <Copy text={created.key} />
            </p>
          </div>
        )}
      </List>
      {creating && (
        <CreateKey
          onClose={() => setCreating(false)}
          onCreated={(key) => {
            setCreated(key);
            setDone(`The key ${key.name} is created.`);
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
            if (created?.id === revoking.id) setCreated(undefined);
            setDone(`The key ${revoking.name} is revoked.`);
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
