// The dashboard in a real browser, in both forms of the service: what an operator does, and that the page does nothing that it
// should not.
import { readFile } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Form } from "../support/forms.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { openBrowser, openPage, type WatchedPage } from "./browser.ts";
import { DashboardService } from "./dashboard-service.ts";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 300_000 });

const slow = { timeout: 60_000 };
/** Buttons that a read-only key may see. */
const changesNothing = ["Add filter", "Go to the job", "Newer", "Older", "Hour", "Day", "Copy"];

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser?.close());

describe.each<Form>(["embedded", "distributed"])("%s", (form) => {
  describe.skipIf(form === "distributed" && (withoutMongo() || withoutRedis()))("dashboard", () => {
    let service: DashboardService;
    let watched: WatchedPage;
    let page: Page;
    beforeAll(async () => {
      service = await DashboardService.start(form);
      watched = await openPage(
        browser,
        service.url,
        {},
        /status of 401|net::ERR_(CONNECTION|SOCKET_NOT_CONNECTED|INCOMPLETE_CHUNKED|EMPTY_RESPONSE)/,
      );
      page = watched.page;
    });
    afterAll(() => service?.close());

    const open = (path: string) => page.goto(`${service.url}/ui/${path}`);
    const button = (name: string | RegExp) => page.getByRole("button", { name });

    const lineOf = (i: number, prompt: string) =>
      JSON.stringify({
        custom_id: `c${i}`,
        method: "POST",
        url: "/v1/chat/completions",
        body: { model: "quick", messages: [{ role: "user", content: prompt }] },
      });
    const upload = async (text: string) => {
      await open("batches");
      await button("Upload a batch").click();
      await page.getByLabel("JSONL file").setInputFiles({
        name: "b.jsonl",
        mimeType: "application/jsonl",
        buffer: Buffer.from(text),
      });
      await button("Upload and start").click();
      await page.getByRole("heading", { name: /^Batch batch_/ }).waitFor(slow);
    };

    test("signs in with a key, and refuses a wrong one", async () => {
      await open("jobs");
      await page.getByLabel("API key").fill("sk-sluice-wrong");
      await button("Sign in").click();
      await page.getByText("The API key is unknown.").waitFor();
      await page.getByLabel("API key").fill(service.adminKey);
      await button("Sign in").click();
      await page.getByRole("heading", { name: "Jobs" }).waitFor();
      expect(await page.evaluate("document.cookie")).toBe("");
    });

    test("the playground shows tokens as they arrive", async () => {
      await open("playground");
      await page.getByLabel("Prompt", { exact: true }).fill("Say something long");
      await page.getByLabel("Model").selectOption("talking");
      await button("Submit").click();
      const text = page.locator("section[aria-label=Answer] pre");
      await text.waitFor(slow);
      const early = (await text.textContent())!.length;
      await expect.poll(async () => (await text.textContent())!.length, slow).toBeGreaterThan(early);
      await page.locator("section[aria-label=Answer]").getByText("completed").waitFor(slow);

      await button("Submit").click();
      await text.waitFor(slow);
      await button("Stop").click();
      await page.locator("section[aria-label=Answer]").getByText("cancelled").waitFor(slow);
    });

    test("a prompt and an answer full of markup are text", async () => {
      const prompt = '<img src=x onerror="document.title=1"><script>document.title=2</script><b>bold</b>';
      const { job_id } = await service.submit({ prompt, metadata: { "<i>l</i>": prompt.slice(0, 60) } });
      await service.call("GET", `/v1/jobs/${job_id}?wait=20`);
      await open(`jobs/${job_id}`);
      await page.getByText("<i>l</i>=").waitFor();
      await page.getByText("Prompt", { exact: true }).click();
      await page.getByText(prompt).waitFor();
      expect(await page.locator("main img, main script, main b").count()).toBe(0);
      expect(await page.title()).toContain("Sluice");
    });

    test("a rate-limited queue drains while its expected start counts down, and a waiting job can be cancelled", async () => {
      const ids: string[] = [];
      for (let i = 0; i < 40; i++) {
        ids.push((await service.submit({ prompt: `n${i}`, model: "narrow", metadata: { run: "narrow" } })).job_id);
      }
      await open("");
      const headline = page.locator(".headline");
      await headline.getByText(/limited by requests per minute of narrow in us-east-1/).waitFor(slow);
      const waiting = async () => Number(/([\d,]+) jobs? waits?/.exec((await headline.textContent())!)?.[1] ?? 0);
      const before = await waiting();
      await expect.poll(waiting, slow).toBeLessThan(before);

      await open(`jobs/${ids.at(-1)}`);
      const notice = page.locator(".notice");
      const startsIn = async () =>
        seconds(/should start in ([^.]*(?:\.\d)?[^.]*)\./.exec((await notice.textContent())!)?.[1]);
      const first = await startsIn();
      await expect.poll(startsIn, slow).toBeLessThan(first);
      await button("Cancel").click();
      await button("Cancel the job").click();
      await page.locator("h1").getByText("cancelled").waitFor(slow);
      await open("jobs?metadata%5Brun%5D=narrow");
      await button("Cancel…").click();
      await button(/^Cancel \d+ jobs?$/).click();
      await page.locator("dialog").waitFor({ state: "detached", ...slow });
    });

    test("all failed jobs of one model are retried after a preview", async () => {
      for (let i = 0; i < 3; i++) await service.submit({ prompt: `refuse ${i}`, metadata: { run: "refused" } });
      await open("jobs?status=failed&metadata%5Brun%5D=refused");
      await expect
        .poll(async () => {
          const fresh = page.getByRole("button", { name: /new$/ });
          if (await fresh.isVisible()) await fresh.click();
          return page.locator("tbody tr").count();
        }, slow)
        .toBe(3);
      await button("Retry…").click();
      await button("Retry 3 jobs").click();
      await page.locator("dialog").waitFor({ state: "detached", ...slow });
      const { data } = await service.call<{ data: { retry_of: string | null }[] }>(
        "GET",
        "/v1/jobs?metadata%5Brun%5D=refused",
      );
      expect(data.filter((job) => job.retry_of !== null)).toHaveLength(3);
    });

    test("a batch goes from upload to download; a wrong file shows its errors by line", async () => {
      const count = form === "embedded" ? 1000 : 100;
      await upload(`${lineOf(1, "line")}\nnot json\n`);
      await page.getByRole("cell", { name: "Line 2", exact: true }).waitFor(slow);
      await upload(Array.from({ length: count }, (_, i) => lineOf(i, `line ${i}`)).join("\n"));
      await page.locator("h1").getByText("completed").waitFor({ timeout: 100_000 });
      const download = page.waitForEvent("download");
      await page.getByRole("link", { name: "Answers" }).click();
      const content = await readFile((await (await download).path())!, "utf8");
      expect(content.trim().split("\n")).toHaveLength(count);
    });

    test("a batch whose lines all failed says so, and the lines of one error are retried after a preview", async () => {
      await upload([1, 2, 3].map((i) => lineOf(i, `refuse ${i}`)).join("\n"));
      await page.locator("h1").getByText("all lines failed").waitFor(slow);
      await button("Retry provider_rejected").click();
      await button("Retry 3 jobs").click();
      await page.getByText(/^3 jobs retried\. They are jobs of their own/).waitFor(slow);
    });

    test("usage has plots with tables, and says that it knows no such grouping", async () => {
      await open("usage?by=moon");
      await page.getByText("There is no grouping by “moon”").waitFor();
      await page.getByRole("combobox", { name: "By" }).selectOption("model");
      await page.getByText("There is no grouping").waitFor({ state: "detached" });
      const plot = page.locator("figure", { hasText: "Tokens by day" });
      await plot.getByText("Show as a table").press("Enter");
      await plot.getByRole("columnheader", { name: "quick" }).waitFor();
      expect(await plot.locator("tbody tr").count()).toBeGreaterThan(0);
    });

    test("pauses and resumes a deployment", async () => {
      await open("deployments");
      const row = page.getByRole("row", { name: /llama3-1-70b/ });
      await row.getByRole("button", { name: "Pause" }).click();
      await page.getByLabel(/^Reason/).fill("maintenance");
      await button("Pause the deployment").click();
      await row.getByText("paused").waitFor(slow);
      await row.getByRole("button", { name: "Resume" }).click();
      await button("Resume the deployment").click();
      await row.getByText("paused").waitFor({ state: "detached", ...slow });
    });

    test("a key that is created is shown once; a read-only key sees no buttons; a revoked key ends its page", async () => {
      await open("keys");
      await button("Create a key").click();
      await page.getByLabel("Name").fill("viewer");
      await page.getByLabel(/^Read only/).check();
      await button("Create the key").click();
      const secret = (await page.locator(".secret").textContent())!;
      await page.reload();
      await page.getByRole("cell", { name: "viewer" }).first().waitFor();
      expect(await page.locator(".secret").count()).toBe(0);

      const viewer = await openPage(browser, service.url, {}, /status of 401/);
      await viewer.page.goto(`${service.url}/ui/jobs`);
      await viewer.page.getByLabel("API key").fill(secret);
      await viewer.page.getByRole("button", { name: "Sign in" }).click();
      await viewer.page.getByRole("heading", { name: "Jobs" }).waitFor();
      for (const path of ["jobs", "batches", "deployments", "webhooks"]) {
        await viewer.page.goto(`${service.url}/ui/${path}`);
        await viewer.page.getByRole("heading", { level: 1 }).waitFor();
        const names = await viewer.page.getByRole("main").getByRole("button").allTextContents();
        expect(names.filter((name) => !changesNothing.includes(name))).toEqual([]);
      }
      await page
        .getByRole("row", { name: /viewer/ })
        .getByRole("button", { name: "Revoke" })
        .click();
      await button("Revoke the key").click();
      await viewer.page.getByLabel("API key").waitFor(slow);
      expect(viewer.wrong).toEqual([]);
    });

    test("a restart under the open page is said, and the page comes back by itself", async () => {
      await open("");
      await page.locator(".headline").waitFor(slow);
      await service.stopProcesses();
      await page.getByText(/^No connection since/).waitFor(slow);
      await page.locator(".headline").waitFor();
      await service.startProcesses();
      await page.getByText(/^No connection since/).waitFor({ state: "detached", ...slow });
    });

    test("no page did anything wrong", () => {
      expect(watched.wrong).toEqual([]);
    });
  });
});

/** Returns a duration such as `1 min 5 s` in seconds. */
function seconds(text: string | undefined): number {
  let sum = 0;
  for (const [, n, unit] of (text ?? "").matchAll(/([\d.]+) (ms|s|min|h)\b/g)) {
    sum += Number(n) * { ms: 0.001, s: 1, min: 60, h: 3600 }[unit as "ms" | "s" | "min" | "h"];
  }
  return sum;
}
