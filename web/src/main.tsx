// The dashboard: signs in, opens the live stream, and shows the page of the address.
import "./style.css";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { LocationProvider, Route, Router, useLocation } from "preact-iso";
import { startLive, stopLive } from "./live.ts";
import { AuditPage } from "./pages/audit.tsx";
import { BatchPage } from "./pages/batch.tsx";
import { BatchesPage } from "./pages/batches.tsx";
import { DeploymentsPage } from "./pages/deployments.tsx";
import { JobPage } from "./pages/job.tsx";
import { JobsPage } from "./pages/jobs.tsx";
import { KeysPage } from "./pages/keys.tsx";
import { OverviewPage } from "./pages/overview.tsx";
import { PlaygroundPage } from "./pages/playground.tsx";
import { SignInPage } from "./pages/sign-in.tsx";
import { UsagePage } from "./pages/usage.tsx";
import { WebhooksPage } from "./pages/webhooks.tsx";
import { Layout } from "./parts/layout.tsx";
import { Failure } from "./parts/notice.tsx";
import { to } from "./routes.ts";
import { loadSession, session, sessionError } from "./session.ts";
import { useTitle } from "./use-title.ts";

function Dashboard() {
  const signedIn = session.value?.signed_in === true;
  useEffect(() => {
    if (!signedIn) return;
    startLive();
    return stopLive;
  }, [signedIn]);
  if (session.value === undefined) return <Failure error={sessionError.value} retry={loadSession} />;
  if (!signedIn) return <SignInPage />;
  return (
    <LocationProvider scope={to("")}>
      <Layout>
        <Pages />
      </Layout>
    </LocationProvider>
  );
}

function Pages() {
  const { path } = useLocation();
  // The router would throw at an address that cannot be decoded, such as one that was cut off.
  if (!isDecodable(path)) return <NotFound />;
  return (
    <Router>
      <Route path={to("")} component={OverviewPage} />
      <Route path={to("jobs")} component={JobsPage} />
      <Route path={to("jobs/:id")} component={JobPage} />
      <Route path={to("batches")} component={BatchesPage} />
      <Route path={to("batches/:id")} component={BatchPage} />
      <Route path={to("deployments")} component={DeploymentsPage} />
      <Route path={to("usage")} component={UsagePage} />
      <Route path={to("playground")} component={PlaygroundPage} />
      <Route path={to("keys")} component={KeysPage} />
      <Route path={to("webhooks")} component={WebhooksPage} />
      <Route path={to("audit")} component={AuditPage} />
      <Route default component={NotFound} />
    </Router>
  );
}

function isDecodable(path: string): boolean {
  try {
    // The result is used, because the build removes a call without a use.
    return decodeURIComponent(path) !== "";
  } catch {
    return false;
  }
}

function NotFound() {
  useTitle("Not found");
  return (
    <>
      <h1>There is no such page</h1>
      <p>
        <a href={to("")}>Go to the overview</a>
      </p>
    </>
  );
}

loadSession();
render(<Dashboard />, document.getElementById("app")!);
