// A real browser whose pages note everything that the dashboard must not do: errors in the console, calls to other
// origins, and breaches of the content security policy.
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright-core";
import { expect } from "vitest";
import { findChromium } from "../support/find-chromium.ts";

/** Runs in the page. */
const reportBreaches = `document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  console.error("policy:", violatedDirective, blockedURI))`;

export interface WatchedPage {
  page: Page;
  /** What the page did wrong so far. */
  wrong: string[];
}

export async function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(), args: ["--no-sandbox"] });
}

/**
 * Opens a page in a context of its own.
 * @param origin the only origin that it may call
 * @param expected messages of the console that are no fault, such as those of a server that a test has stopped
 */
export async function openPage(
  browser: Browser,
  origin: string,
  options: BrowserContextOptions = {},
  expected: RegExp = /^$/,
): Promise<WatchedPage> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("console", (message) => {
    const text = message.text();
    if (["error", "warning"].includes(message.type()) && !expected.test(text)) wrong.push(`console: ${text}`);
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && !["data:", "blob:"].includes(url.protocol)) wrong.push(`call of ${url.href}`);
  });
  await page.addInitScript({ content: reportBreaches });
  return { page, wrong };
}

/** Opens a page as `openPage` does, and signs in. */
export async function openSignedIn(
  browser: Browser,
  { url, adminKey }: { url: string; adminKey: string },
  options: BrowserContextOptions = {},
  expected?: RegExp,
): Promise<WatchedPage> {
  const watched = await openPage(browser, url, options, expected);
  await watched.page.goto(`${url}/ui/`);
  await watched.page.getByLabel("API key").fill(adminKey);
  await watched.page.keyboard.press("Enter");
  await watched.page.locator("header").waitFor();
  return watched;
}

const isFocused = (target: Locator) => target.evaluate((element) => element === element.ownerDocument.activeElement);

export async function expectFocus(target: Locator): Promise<void> {
  await expect.poll(() => isFocused(target), { timeout: 20_000 }).toBe(true);
}

/** Presses a key until an element has the focus, as a user without a mouse does. */
export async function tabTo(page: Page, target: Locator, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> {
  await target.waitFor();
  for (let i = 0; i < 150; i++) {
    await page.keyboard.press(key);
    if (await isFocused(target)) return;
  }
  throw new Error(`The key ${key} does not lead to ${target}.`);
}

/** Returns what axe finds on the page, one line for each. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}
