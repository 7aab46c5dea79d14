// The lists of the dashboard in a real browser: by keyboard alone, and page by page.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { expectFocus, openBrowser, openPage, openSignedIn, tabTo } from "./browser.ts";
import { DashboardService } from "./dashboard-service.ts";

vi.setConfig({ testTimeout: 40_000, hookTimeout: 60_000 });

const slow = { timeout: 20_000 };

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

const signedIn = () => openSignedIn(browser, service);
const open = (page: Page, path: string) => page.goto(`${service.url}/ui/${path}`);

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
    await page.evaluate("window.isSamePage = true");
    await tabTo(page, button("Retry"));
    await press("Enter");
    await page.waitForURL((url) => /jobs\/[0-9a-f-]{36}$/.test(url.pathname) && url.href !== opened, slow);
    await page.getByText("Retry of").waitFor(slow);
    expect(await page.evaluate("window.isSamePage")).toBe(true);
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
