// What the dashboard looks like and sounds like in a real browser: both themes, a wide and a narrow screen, screen readers,
// and reduced motion. Writes a screenshot of each page to test-results/dashboard.
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { accessibilityFaults, expectFocus, openBrowser, openSignedIn } from "./browser.ts";
import { DashboardService } from "./dashboard-service.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

const shots = resolve(import.meta.dirname, "../../test-results/dashboard");
const slow = { timeout: 20_000 };
const listPaths = ["jobs", "batches", "keys", "webhooks", "audit"];

let browser: Browser;
let service: DashboardService;
/** Paths by the names of the screenshots. */
let paths: Record<string, string>;
beforeAll(async () => {
  [browser, service] = await Promise.all([openBrowser(), DashboardService.start("embedded")]);
  await mkdir(shots, { recursive: true });
  // Jobs of every kind: waiting, because their model starts one a second; failed; and completed, with a webhook.
  for (let i = 0; i < 60; i++) await service.submit({ prompt: `n${i}`, model: "narrow", metadata: { run: "narrow" } });
  const failed = await service.submit({ prompt: "refuse", model: "quick" });
  const completed = await service.submit({ prompt: "say", model: "quick", webhook_url: "https://example.com/hook" });
  const batch = await service.uploadBatch(["good", "refuse"]);
  for (const { job_id } of [failed, completed]) await service.call("GET", `/v1/jobs/${job_id}?wait=20`);
  paths = {
    overview: "",
    jobs: "jobs",
    job: `jobs/${completed.job_id}`,
    "job-failed": `jobs/${failed.job_id}`,
    batches: "batches",
    batch: `batches/${batch.id}`,
    deployments: "deployments",
    usage: "usage",
    playground: "playground",
    keys: "keys",
    webhooks: "webhooks",
    audit: "audit",
    nowhere: "no/such/page",
  };
});
afterAll(async () => {
  await browser?.close();
  await service?.close();
});

const open = (page: Page, path: string) => page.goto(`${service.url}/ui/${path}`);

describe("every page", () => {
  test.each([
    ["light", 1280],
    ["light", 390],
    ["dark", 1280],
    ["dark", 390],
  ] as const)("is accessible and fits, %s at %i px", async (colorScheme, width) => {
    const options = { colorScheme, viewport: { width, height: 900 } };
    // The last address leads to no page.
    const { page, wrong } = await openSignedIn(browser, service, options, /status of 404/);
    for (const [name, path] of Object.entries(paths)) {
      await open(page, path);
      await page.getByRole("heading", { level: 1 }).waitFor(slow);
      await page.screenshot({ path: join(shots, `${name}-${width}-${colorScheme}.png`) });
      expect([name, await accessibilityFaults(page)]).toEqual([name, []]);
      const overflows = await page.evaluate("document.documentElement.scrollWidth > innerWidth");
      expect([name, width, overflows]).toEqual([name, width, false]);
    }
    expect(wrong).toEqual([]);
  });
});

test.each([1280, 390])(
  "foreign words of any length fit at %i px, and do not turn the text around them",
  async (width) => {
    const tenant = `narrow-${width}`;
    await service.call("POST", "/v1/pause", { tenant, reason: "W".repeat(190) });
    const metadata = { turned: "\u202Ecba", long: "L".repeat(512) };
    const { job_id } = await service.submit({ prompt: "refuse at length", metadata });
    await service.call("GET", `/v1/jobs/${job_id}?wait=20`);
    const { page } = await openSignedIn(browser, service, { viewport: { width, height: 900 } });
    const seen: [path: string, text: string | RegExp][] = [
      ["", /W{190}/],
      ["deployments", /W{190}/],
      [`jobs/${job_id}`, /N{290}/],
      [`jobs?model=${"m".repeat(3000)}`, /m{3000}/],
    ];
    for (const [path, text] of seen) {
      await open(page, path);
      await page.getByText(text).first().waitFor(slow);
      expect([path, await page.evaluate("document.documentElement.scrollWidth > innerWidth")]).toEqual([path, false]);
    }
    await open(page, `jobs/${job_id}`);
    await page.locator("bdi", { hasText: "cba" }).waitFor(slow);
    await page.locator("summary", { hasText: "NNN" }).first().press("Enter");
    await page
      .locator("pre", { hasText: /N{700}/ })
      .first()
      .waitFor(slow);
    await service.call("POST", "/v1/resume", { tenant });
  },
);

describe("on a phone", () => {
  test("the pages are behind a menu, and rows are cards that show everything", async () => {
    const { page } = await openSignedIn(browser, service, { viewport: { width: 390, height: 800 } });
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

    for (const path of Object.values(paths)) {
      await open(page, path);
      await page.getByRole("heading", { level: 1 }).waitFor(slow);
      if (listPaths.includes(path)) await page.locator(".cards").waitFor(slow);
      expect([path, await page.evaluate(cutCells)]).toEqual([path, []]);
    }
  });
});

/** Runs in the page. Returns the cells of cards that are wider than the screen or hide a part of their text. */
const cutCells = `[...document.querySelectorAll(".cards td")]
  .filter((cell) => cell.getBoundingClientRect().right > innerWidth || cell.scrollWidth > cell.clientWidth)
  .map((cell) => cell.outerHTML)`;

describe("for screen readers", () => {
  test("tables have captions, and what is in rows has names of its own", async () => {
    const { page } = await openSignedIn(browser, service);
    for (const path of Object.values(paths)) {
      await open(page, path);
      await page.getByRole("heading", { level: 1 }).waitFor(slow);
      const tables = page.locator("main table");
      if (listPaths.includes(path)) await tables.waitFor(slow);
      expect([path, await tables.filter({ hasNot: page.locator("caption") }).count()]).toEqual([path, 0]);
      if (!listPaths.includes(path)) continue;
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
    const { page } = await openSignedIn(browser, service);
    await page.addInitScript({ content: noteLiveRegions });
    await open(page, "jobs?metadata%5Brun%5D=narrow&status=completed");
    await page.locator("tbody tr").first().waitFor(slow);
    const spoken = () => page.evaluate("spoken.splice(0)");
    await spoken();
    // Two polls later, the rows have changed and nothing was said.
    for (let i = 0; i < 2; i++) await page.waitForResponse(/v1\/jobs\?/, slow);
    expect(await spoken()).toEqual([]);
    // Figures that count down on the overview and on the page of a waiting job are not read out.
    const waiting: { job_id: string }[] = [];
    for (let i = 0; i < 30; i++) waiting.push(await service.submit({ prompt: "waits", model: "narrow" }));
    for (const [path, figures] of [
      ["", ".headline, .quota"],
      [`jobs/${waiting.at(-1)!.job_id}`, ".notice"],
    ] as const) {
      await open(page, path);
      const text = () => page.locator(figures).allTextContents();
      await expect.poll(async () => (await text()).length, slow).toBeGreaterThan(0);
      await spoken();
      for (let i = 0; i < 2; i++) {
        const before = await text();
        await expect.poll(text, slow).not.toEqual(before);
      }
      expect([path, await spoken()]).toEqual([path, []]);
    }
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
    const { page } = await openSignedIn(browser, service, { reducedMotion });
    let moves = 0;
    for (const path of ["", ...listPaths, "deployments"]) {
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
