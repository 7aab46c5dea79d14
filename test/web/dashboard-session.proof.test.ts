// The dashboard in a real browser: how a session begins and ends, also with a clock that the test moves, what a tab does
// while it is hidden, and addresses that lead nowhere. The service runs in this process.
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { commandCaller } from "../../src/jobs/caller.ts";
import { createKey, revokeKey } from "../../src/jobs/keys/keys.ts";
import { type ServerUnderTest, startServerUnderTest } from "../http/server-under-test.ts";
import { openBrowser, openPage } from "./browser.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const hourMs = 3_600_000;
let now = 1_800_000_000_000;
let browser: Browser;
let server: ServerUnderTest;
let url: string;
beforeAll(async () => {
  browser = await openBrowser();
  server = await startServerUnderTest({}, undefined, { clock: { now: () => now, wall: () => now } });
  url = await server.app.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
});

let context: BrowserContext;
let page: Page;
let key: { id: string; text: string };
beforeEach(async () => {
  key = await adminKey();
  ({ page } = await openPage(browser, url));
  context = page.context();
  return () => context.close();
});

async function adminKey() {
  const { key, record } = await createKey(server.context, { name: "op", admin: true }, commandCaller);
  await server.context.keys.note(record);
  return { id: record.id, text: key.text };
}

async function signIn(where: Page, text = key.text): Promise<void> {
  await where.getByLabel("API key").fill(text);
  await where.getByRole("button", { name: "Sign in" }).click();
}

/** Opens a page, signs in, and waits until the stream is open. */
async function openSignedIn(path: string): Promise<void> {
  await page.goto(`${url}/ui/${path}`);
  const live = page.waitForResponse((response) => isLive(response.request()));
  await signIn(page);
  await live;
}

const ended = (where: Page) => where.getByText("Your session has ended.").waitFor();

describe("a session", () => {
  test("that has expired says so, and leads back to the same page after the sign-in", async () => {
    await openSignedIn("usage?by=tenant");
    await page.getByRole("heading", { name: "Usage" }).waitFor();
    // An open page counts as use: the stream looks at the session, so the seven days end it.
    for (let hours = 0; hours < 7 * 24; hours += 8) {
      now += 8 * hourMs;
      await context.request.get(`${url}/ui/api/session`, { headers: { "sec-fetch-site": "same-origin" } });
      if (hours < 7 * 24 - 8) expect(await page.getByRole("heading", { name: "Usage" }).isVisible()).toBe(true);
    }
    await ended(page);
    await signIn(page);
    await page.getByRole("heading", { name: "Usage" }).waitFor();
    expect(page.url()).toBe(`${url}/ui/usage?by=tenant`);
    expect(await page.getByRole("combobox", { name: "By" }).inputValue()).toBe("tenant");
  });

  test("that expired while the tab was hidden is noticed when the tab is shown again", async () => {
    // This page makes no calls by itself, so only the stream can notice.
    await openSignedIn("playground");
    await setHidden(page, true);
    now += 12 * hourMs;
    await setHidden(page, false);
    await ended(page);
    expect(await page.getByText(/^No connection since/).count()).toBe(0);
  });

  test("ends within a moment when its key is revoked", async () => {
    await openSignedIn("jobs");
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    await server.context.keys.note(await revokeKey(server.context, key.id, commandCaller));
    await page.getByText("Your session has ended.").waitFor({ timeout: 2_000 });
  });

  test("is the same in two tabs: both sign out, and both sign in", async () => {
    await openSignedIn("jobs");
    const other = await context.newPage();
    await other.goto(`${url}/ui/usage`);
    await other.getByRole("heading", { name: "Usage" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await ended(other);
    expect(await page.getByText("Your session has ended.").count()).toBe(0);
    await signIn(page);
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    await other.getByRole("heading", { name: "Usage" }).waitFor();
  });

  test("begins with a correct key even after many wrong ones, which get words for people", async () => {
    await page.goto(`${url}/ui/`);
    for (let i = 0; i < 11; i++) {
      await signIn(page, "sk-sluice-wrong");
      await page.getByRole("button", { name: "Sign in" }).waitFor();
      await page.getByRole("alert").waitFor();
    }
    await page.getByText("Too many wrong keys came from your address.").waitFor();
    now += 60_000;
    await signIn(page, "what is this");
    await page.getByText("The API key is unknown. Check the key, or ask for a new one.").waitFor();
    expect(await page.getByRole("alert").textContent()).not.toMatch(/Authorization|Bearer/);
    await signIn(page);
    await page.getByRole("navigation").waitFor();
  });
});

describe("the live stream", () => {
  test("closes while the tab is hidden, and resumes", async () => {
    await openSignedIn("");
    const closed = page.waitForEvent("requestfailed", isLive);
    await setHidden(page, true);
    expect((await closed).failure()?.errorText).toBe("net::ERR_ABORTED");
    const opened = page.waitForRequest(isLive);
    await setHidden(page, false);
    await opened;
    expect(await page.getByText(/^No connection since/).count()).toBe(0);
  });
});

test("an address that leads to no page says so, also one that cannot be decoded", async () => {
  await openSignedIn("");
  for (const path of ["no/such/page", "jobs/%E0%A4%A"]) {
    const response = await page.goto(`${url}/ui/${path}`);
    expect(response!.status()).toBe(404);
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
    expect(await page.title()).toBe("Not found – Sluice");
    await page.getByRole("link", { name: "Go to the overview" }).click();
    await expect.poll(() => page.url()).toBe(`${url}/ui/`);
  }
});

test("a wrong filter in the address is explained in words for people", async () => {
  await openSignedIn("jobs?submitted_after=soon");
  await page.getByText('Submitted after must be a time such as "2030-01-31T12:00:00Z"; got "soon".').waitFor();
  // The same call would fail again.
  expect(await page.getByRole("button", { name: "Try again" }).count()).toBe(0);
  await page.goto(`${url}/ui/jobs/17`);
  await page.getByRole("alert").getByText('Job id must be a UUID; got "17".').waitFor();
  await page.getByRole("link", { name: "Go to the jobs" }).click();
  await page.getByRole("heading", { name: "Jobs" }).waitFor();
});

test("a link leads to /docs, which shows the address of the service, and back", async () => {
  await openSignedIn("jobs");
  await page.getByRole("link", { name: "API", exact: true }).click();
  await expect.poll(() => page.locator(".servers option").allTextContents()).toEqual([url]);
  await page.getByRole("link", { name: "Dashboard" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor({ state: "attached" });
});

test("a large file shows how much of it is uploaded", async () => {
  await openSignedIn("batches");
  await page.getByRole("button", { name: "Upload a batch" }).click();
  const line = JSON.stringify({
    ...{ custom_id: "1", method: "POST", url: "/v1/chat/completions" },
    body: { model: "llama3-3-70b", messages: [{ role: "user", content: "x".repeat(50_000) }] },
  });
  const buffer = Buffer.from(Array.from({ length: 160 }, (_, i) => line.replace('"1"', `"${i}"`)).join("\n"));
  await page.getByLabel("JSONL file").setInputFiles({ name: "b.jsonl", mimeType: "application/jsonl", buffer });
  const network = await context.newCDPSession(page);
  await network.send("Network.emulateNetworkConditions", {
    ...{ offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 4_000_000 },
  });
  await page.getByRole("button", { name: "Upload and start" }).click();
  const seen = new Set<number>();
  const sent = page.getByRole("progressbar", { name: "Upload" });
  await expect
    .poll(async () => {
      const value = Number(await sent.getAttribute("value").catch(() => Number.NaN));
      if (value > 0 && value < buffer.length) seen.add(value);
      return seen.size;
    })
    .toBeGreaterThan(2);
  await page.getByRole("heading", { name: /^Batch batch_/ }).waitFor();
});

test("a learned limit is reset, and a deployment is put back into service", async () => {
  await refuse("llama3-3-70b", { kind: "throttled", throttle: "requests" });
  await refuse("nova-lite", { kind: "misconfigured", reason: "no access" });
  await openSignedIn("deployments");
  await page.getByRole("button", { name: "Reset the learned limit" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Reset the learned limit" }).click();
  await page.getByRole("button", { name: "Reset the learned limit" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Reinstate" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Reinstate the deployment" }).click();
  await page.getByRole("button", { name: "Reinstate" }).waitFor({ state: "detached" });
  const { deployments, quotas } = (await server.as(key.text).get("/v1/deployments")).body;
  expect(deployments.map(({ state }: { state: string }) => state)).not.toContain("out_of_service");
  for (const { effective_limit, configured_limit } of quotas) expect(effective_limit).toBe(configured_limit);
});

/** Ends a call as a provider does that refuses it. */
async function refuse(model: string, signal: object): Promise<void> {
  const { scheduler } = server.context;
  await server.as(key.text).post("/v1/jobs", { prompt: "Hello?", environment: "UAT", model });
  const { grants } = await scheduler.acquire({ operation: crypto.randomUUID(), worker: "w", max: 1 });
  const [{ jobId, grant }] = grants as [(typeof grants)[0]];
  await scheduler.settle([{ jobId, grant, job: "ended", charge: "keep", signal: signal as never }]);
}

const isLive = (request: { url(): string }) => request.url() === `${url}/ui/api/live`;

/** Hides a tab or shows it again, as the page sees it; a headless browser shows every tab. */
async function setHidden(where: Page, hidden: boolean): Promise<void> {
  await where.evaluate(`
    Object.defineProperty(document, "hidden", { value: ${hidden}, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));`);
}
