// The frame of every page: navigation, connection state, sign-out.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { base, messageOf } from "../api.ts";
import { offlineSince, snapshot } from "../live.ts";
import { to } from "../routes.ts";
import { session, signOut } from "../session.ts";
import { ThemeSwitch } from "./theme.tsx";
import { Time } from "./time.tsx";

/** Not a path below the page's base, so that the router leaves it to the browser. */
const docs = new URL("../docs", base).pathname;

const pages: readonly [page: string, title: string, adminOnly?: true][] = [
  ["", "Overview"],
  ["jobs", "Jobs"],
  ["batches", "Batches"],
  ["deployments", "Deployments"],
  ["usage", "Usage"],
  ["playground", "Playground"],
  ["keys", "Keys", true],
  ["webhooks", "Webhooks"],
  ["audit", "Audit", true],
];

export function Layout({ children }: { children: ComponentChildren }) {
  const { path } = useLocation();
  const admin = session.value?.admin ?? false;
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const menu = useRef<HTMLButtonElement>(null);
  const before = useRef(path);
  // A link that leads to another page is gone with its own page, so the content takes the focus.
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    setOpen(false);
    main.current?.focus();
  }, [path]);
  const isCurrent = (page: string) =>
    page === "" ? `${path}/` === to("") || path === to("") : path.startsWith(to(page));
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it is a link to the content; the handler only keeps the page's base out of it */}
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <header>
        <a class="brand" href={to("")}>
          Sluice
        </a>
        <button
          ref={menu}
          type="button"
          class="menu small"
          aria-expanded={open}
          aria-controls="pages"
          onClick={() => setOpen(!open)}
        >
          Menu
        </button>
        <nav
          id="pages"
          aria-label="Pages"
          class={open ? "open" : undefined}
          onKeyDown={({ key }) => {
            if (key !== "Escape" || !open) return;
            setOpen(false);
            menu.current?.focus();
          }}
        >
          {pages
            .filter(([, , adminOnly]) => admin || !adminOnly)
            .map(([page, title]) => (
              <a key={page} href={to(page)} aria-current={isCurrent(page) ? "page" : undefined}>
                {title}
              </a>
            ))}
        </nav>
        <span class="who">
          <ThemeSwitch />
          <a href={docs}>API</a>
          {session.value?.sign_in_required && (
            <button type="button" class="small" onClick={() => signOut().catch((error) => alert(messageOf(error)))}>
              Sign out
            </button>
          )}
        </span>
      </header>
      <Connection />
      <main ref={main} id="main" tabIndex={-1} class={offlineSince.value === undefined ? undefined : "stale"}>
        {children}
      </main>
    </>
  );
}

function Connection() {
  const since = offlineSince.value;
  if (since === undefined) return null;
  return (
    <p class="notice bad offline" role="alert">
      No connection since <Time at={since} />; trying again.
      {snapshot.value && (
        <>
          {" "}
          The figures are from <Time at={snapshot.value.at} />.
        </>
      )}
    </p>
  );
}
