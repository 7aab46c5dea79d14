// The lists of the dashboard in a real browser: by keyboard alone, page by page, on a phone, and for screen readers.
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openBrowser, openPage, type WatchedPage } from "./browser.ts";
import { DashboardService } from "./dashboard-service.ts";

vi.setConfig({ testTimeout: 40_000, hookTimeout: 60_000 });

const slow = { timeout: 20_000 };
const pagePaths = ["jobs", "batches", "keys", "webhooks", "audit"];

let browser: Browser;
let service: DashboardService;
beforeAll(async () => {
  [browser, service] = await Promise.all([openBrowser(), DashboardService.start("embedded")]);
  // Jobs that wait: their model starts one a second.
  for (let i = 0; i < 120; i++) await service.submit({ prompt: `n${i}`, model: "narrow", metadata: { run: "pages" } });
});
afterAll(async () => {
  await browser?.close();
  await service?.close();
});

/** Opens a page that is signed in. */
async function signedIn(options: Parameters<typeof openPage>[2] = {}): Promise<WatchedPage> {
  const watched = await openPage(browser, service.url, options);
  await watched.page.goto(`${service.url}/ui/`);
  await watched.page.getByLabel("API key").fill(service.adminKey);
  await watched.page.keyboard.press("Enter");
  await watched.page.locator("header").waitFor(slow);
  return watched;
}

const open = (page: Page, path: string) => page.goto(`${service.url}/ui/${path}`);
const isFocused = (target: Locator) => target.evaluate((element) => element === element.ownerDocument.activeElement);
const expectFocus = (target: Locator) => expect.poll(() => isFocused(target), slow).toBe(true);

/** Presses a key until an element has the focus, as a user without a mouse does. */
async function tabTo(page: Page, target: Locator, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> {
  await target.waitFor(slow);
  for (let i = 0; i < 150; i++) {
    await page.keyboard.press(key);
    if (await isFocused(target)) return;
  }
  throw new Error(`The key ${key} does not lead to ${target}.`);
}

describe("by keyboard alone", () => {
  test("signs in, filters, selects two jobs, cancels them, opens one and retries it", async () => {
    const { page, wrong } = await openPage(browser, service.url);
    const press = (key: string) => page.keyboard.press(key);
    const button = (name: string | RegExp) => page.getByRole("button", { name });
    await open(page, "jobs");
    await expectFocus(page.getByLabel("API key"));
    await page.keyboard.type(service.adminKey);
    await press("Enter");
    const heading = page.getByRole("heading", { level: 1, name: "Jobs" });
    await heading.waitFor(slow);

    await tabTo(page, page.getByRole("link", { name: "Skip to the content" }));
    await press("Enter");
    await expectFocus(page.getByRole("main"));
    expect(page.url()).toBe(`${service.url}/ui/jobs`);

    await tabTo(page, page.getByLabel("Value"));
    await page.keyboard.type("queued");
    await tabTo(page, button("Add filter"));
    await press("Enter");
    await page.waitForURL(/\?status=queued$/);
    const remove = button("Remove State");
    await remove.waitFor(slow);

    const boxes = page.getByRole("checkbox", { name: /^Select job / });
    await tabTo(page, boxes.nth(0));
    await press("Space");
    await tabTo(page, boxes.nth(1));
    await press("Space");
    await page.getByText("2 selected").waitFor(slow);
    const cancel = button("Cancel…");
    await tabTo(page, cancel, "Shift+Tab");
    await press("Enter");
    await page.getByRole("dialog").waitFor(slow);
    await press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached", ...slow });
    await expectFocus(cancel);
    await press("Enter");
    await tabTo(page, button("Cancel 2 jobs"));
    await press("Enter");
    await page.getByRole("status").getByText("2 jobs cancelled.").waitFor(slow);
    await expectFocus(heading);

    await tabTo(page, remove);
    await press("Enter");
    await expectFocus(page.getByLabel("Filter by"));
    await press("Tab");
    await page.keyboard.type("cancelled");
    await press("Tab");
    await press("Enter");
    await page.waitForURL(/\?status=cancelled$/);
    await remove.waitFor(slow);
    await tabTo(page, page.getByRole("link", { name: /^job [0-9a-f-]{36}$/ }).first());
    await press("Enter");
    await expectFocus(page.getByRole("main"));
    const opened = page.url();
    await tabTo(page, button("Retry"));
    await press("Enter");
    await page.waitForURL((url) => /jobs\/[0-9a-f-]{36}$/.test(url.pathname) && url.href !== opened, slow);
    await page.getByText("Retry of").waitFor(slow);
    expect(wrong).toEqual([]);
  });

  test("a part that cannot be cancelled does not turn the rest into all that match", async () => {
    const { page } = await signedIn();
    const run = { metadata: { run: "partly" }, model: "narrow" };
    for (let i = 0; i < 3; i++) await service.submit({ prompt: `p${i}`, ...run });
    await open(page, "jobs?metadata%5Brun%5D=partly");
    const boxes = page.getByRole("checkbox", { name: /^Select job / });
    await boxes.nth(1).check();
    const id = (await boxes.nth(1).getAttribute("aria-label"))!.slice("Select job ".length);
    await page.getByRole("button", { name: "Retry…" }).click();
    // A job that waits cannot be retried, so the dialog stays and says so.
    await page.getByRole("button", { name: "Retry 1 job" }).click();
    await page.getByRole("alert").getByText("1 job could not be retried").waitFor(slow);
    await service.call("POST", `/v1/jobs/${id}/cancel`);
    await page.getByRole("button", { name: "Retry 1 job" }).click();
    await page.getByRole("status").getByText("1 job retried.").waitFor(slow);
    const { data } = await service.call<{ data: { retry_of: string | null }[] }>(
      "GET",
      "/v1/jobs?metadata%5Brun%5D=partly",
    );
    expect(data.map((job) => job.retry_of).filter((of) => of !== null)).toEqual([id]);
  });
});

describe("pages of a list", () => {
  test("a reload and Back keep the page, and new rows wait on the first page only", async () => {
    const { page, wrong } = await signedIn();
    const filter = "jobs?metadata%5Brun%5D=pages";
    const heading = page.getByRole("heading", { level: 1, name: "Jobs" });
    const first = page.locator("tbody tr").first().getByRole("link");
    const firstRow = () => first.getAttribute("aria-label");
    const isFirstRow = (name: string | null) => expect.poll(firstRow, slow).toBe(name);
    const older = page.getByRole("button", { name: "Older rows" });
    const newer = page.getByRole("button", { name: "Newer rows" });
    const fresh = page.getByRole("button", { name: /^Show .* new$/ });
    await open(page, filter);
    await first.waitFor(slow);
    const one = await firstRow();

    await older.click();
    await page.waitForURL(/cursor=/);
    await expectFocus(heading);
    await expect.poll(firstRow, slow).not.toBe(one);
    const two = await firstRow();
    await older.click();
    await expect.poll(firstRow, slow).not.toBe(two);
    const three = await firstRow();
    expect(await older.isDisabled()).toBe(true);
    await newer.click();
    await isFirstRow(two);
    await page.reload();
    await isFirstRow(two);

    await service.submit({ prompt: "later", model: "narrow", metadata: { run: "pages" } });
    await page.waitForResponse(/v1\/jobs\?.*cursor=/);
    await isFirstRow(two);
    expect(await fresh.count()).toBe(0);

    await page.goBack();
    await isFirstRow(three);
    await page.goBack();
    await isFirstRow(two);
    await newer.click();
    await expect.poll(firstRow, slow).not.toBe(two);
    expect(page.url()).not.toContain("cursor");
    const newest = await firstRow();
    expect(newest).not.toBe(one);

    await service.submit({ prompt: "last", model: "narrow", metadata: { run: "pages" } });
    await fresh.waitFor(slow);
    await page.getByRole("status").getByText("There are new rows.").waitFor(slow);
    await isFirstRow(newest);
    await fresh.press("Enter");
    await expectFocus(heading);
    await expect.poll(firstRow, slow).not.toBe(newest);
    expect(wrong).toEqual([]);
  });

  test("a link to a page leads on to the first one; a wrong cursor says so", async () => {
    const { page } = await signedIn();
    const { next_cursor: cursor } = await service.call<{ next_cursor: string }>("GET", "/v1/jobs?limit=50");
    await open(page, `jobs?cursor=${encodeURIComponent(cursor)}`);
    await page.locator("tbody tr").first().waitFor(slow);
    await page.getByRole("button", { name: "Newer rows" }).click();
    await page.waitForURL(`${service.url}/ui/jobs`);
    await open(page, "jobs?cursor=nonsense");
    await page.getByRole("alert").waitFor(slow);
    await page.getByRole("button", { name: "Newer rows" }).click();
    await page.locator("tbody tr").first().waitFor(slow);
  });
});

describe("on a phone", () => {
  test("the pages are behind a menu, and rows are cards that show everything", async () => {
    const { page, wrong } = await signedIn({ viewport: { width: 390, height: 800 } });
    await open(page, "jobs");
    const menu = page.getByRole("button", { name: "Menu" });
    const pages = page.getByRole("navigation", { name: "Pages", exact: true });
    await menu.waitFor(slow);
    expect(await pages.isVisible()).toBe(false);
    expect(await menu.getAttribute("aria-expanded")).toBe("false");
    await menu.press("Enter");
    expect(await menu.getAttribute("aria-expanded")).toBe("true");
    await pages.getByRole("link", { name: "Jobs" }).focus();
    await page.keyboard.press("Escape");
    await expectFocus(menu);
    expect(await pages.isVisible()).toBe(false);
    await menu.press("Enter");
    await pages.getByRole("link", { name: "Audit" }).press("Enter");
    await page.getByRole("heading", { level: 1, name: "Audit" }).waitFor(slow);
    await expectFocus(page.getByRole("main"));
    expect(await pages.isVisible()).toBe(false);

    for (const path of pagePaths) {
      await open(page, path);
      await page.locator(".cards, .empty").first().waitFor(slow);
      expect([path, await page.evaluate(cutCells)]).toEqual([path, []]);
    }
    expect(wrong).toEqual([]);
  });
});

/** Runs in the page. Returns the cells of cards that are wider than the screen or hide a part of their text. */
const cutCells = `[...document.querySelectorAll(".cards td")]
  .filter((cell) => cell.getBoundingClientRect().right > innerWidth || cell.scrollWidth > cell.clientWidth)
  .map((cell) => cell.outerHTML)`;

describe("for screen readers", () => {
  test("tables have captions, and what is in rows has names of its own", async () => {
    await service.submit({ prompt: "hook", model: "quick", webhook_url: "https://example.com/hook" });
    const { page } = await signedIn();
    for (const path of pagePaths) {
      await open(page, path);
      const table = page.getByRole("main").getByRole("table");
      await table.or(page.locator(".empty")).first().waitFor(slow);
      for (const one of await table.all()) expect((await one.locator("caption").textContent()) ?? "").not.toBe("");
      const named = await page
        .locator("tbody :is(a, button, input)")
        .evaluateAll((elements) =>
          elements.map((element) => element.getAttribute("aria-label") ?? `without a name: ${element.outerHTML}`),
        );
      expect(named.filter((name) => name.startsWith("without"))).toEqual([]);
      if (path === "jobs") {
        expect(new Set(named).size).toBe(named.length);
        // The middle of an id is hidden, but a copy has all of it.
        const id = await page.evaluate(
          `getSelection().selectAllChildren(document.querySelector("td .id")), String(getSelection())`,
        );
        expect(named).toContain(`job ${id}`);
      }
    }
  });

  test("live regions are polite and speak only when something has changed", async () => {
    const { page } = await signedIn();
    await page.addInitScript({ content: noteLiveRegions });
    await open(page, "jobs?metadata%5Brun%5D=pages&status=completed");
    await page.locator("tbody tr").first().waitFor(slow);
    const spoken = () => page.evaluate("spoken.splice(0)");
    await spoken();
    // Two polls later, the rows have changed and nothing was said.
    for (let i = 0; i < 2; i++) await page.waitForResponse(/v1\/jobs\?/, slow);
    expect(await spoken()).toEqual([]);
    expect(await page.locator('[aria-live="assertive"]').count()).toBe(0);
  });
});

/** Runs in the page. Notes each text that changes in a live region, apart from news about rows. */
const noteLiveRegions = `globalThis.spoken = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const element = target.nodeType === 1 ? target : target.parentElement;
      const region = element?.closest("[role=status], [role=alert], [aria-live]");
      if (region && !/new rows/.test(region.textContent)) spoken.push(region.textContent);
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });`;

describe("prefers-reduced-motion", () => {
  test.each([
    ["reduce", false],
    ["no-preference", true],
  ] as const)("with %s, something moves: %s", async (reducedMotion, expected) => {
    const { page } = await signedIn({ reducedMotion });
    let moves = 0;
    for (const path of ["", ...pagePaths, "deployments"]) {
      await open(page, path);
      await page.locator("main h1").waitFor(slow);
      if (path === "") await page.locator(".quota").first().waitFor(slow);
      moves += (await page.evaluate(moving)) as number;
    }
    expect(moves > 0).toBe(expected);
  });
});

/** Runs in the page. Counts the elements that an animation or a transition moves. */
const moving = `[...document.querySelectorAll("*")].filter((element) => {
  const { animationName, transitionDuration, scrollBehavior } = getComputedStyle(element);
  return animationName !== "none" || /[1-9]/.test(transitionDuration) || scrollBehavior === "smooth";
}).length`;
