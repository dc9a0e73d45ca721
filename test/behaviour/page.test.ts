/**
 * The page in a real browser: signing in, a failover that appears by itself, an order, and what axe finds. Skipped with
 * the reason where Chromium is missing.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, BrowserContext } from "playwright-core";
import { violationsIn } from "../support/gateway/axe.ts";
import { findBrowser, startBrowser } from "../support/gateway/browser.ts";
import { TestCluster, until } from "../support/gateway/cluster.ts";

setDefaultTimeout(60_000);

const found = findBrowser();
if (found.kind === "missing") console.log(`the page in a browser is not tested: ${found.why}`);
const inBrowser = test.skipIf(found.kind === "missing");

const cluster = new TestCluster();
let browser: Browser;
let base: string;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  if (found.kind === "missing") return;
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b"), cluster.addHost("c")]);
  const gateway = await cluster.startGateway();
  await cluster.serving();
  for (const role of ["viewer", "operator"] as const) {
    const made = gateway.tokens.add({ name: `a-${role}`, role, createdBy: "secret", expiresAtMs: undefined });
    tokens[role] = made.kind === "added" ? made.token : "";
  }
  base = `http://127.0.0.1:${gateway.adminPort}`;
  browser = await startBrowser(found.program);
});
afterAll(async () => {
  if (found.kind === "missing") return;
  await browser.close();
  await cluster.stop();
});

/** Fails for every request to another place, and for everything that the console says. */
async function visit(role: string, options: Parameters<Browser["newContext"]>[0] = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(`${base}/`)) complaints.push(request.url());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  // The form to sign in has the status 401, which the console tells.
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("401")) complaints.push(message.text());
  });
  await page.goto(`${base}/`);
  await page.fill("#token", tokens[role] ?? "");
  await page.click("button[type=submit]");
  await page.waitForSelector("h2");
  return { context, page, complaints };
}

const leave = (context: BrowserContext): Promise<void> => context.close();

inBrowser("a failover appears by itself as soon as the service is back", async () => {
  const { context, page, complaints } = await visit("viewer");
  await page.waitForSelector("#link.current");
  const before = cluster.service().primary ?? "";
  const appeared = page.waitForSelector(`text=/Last failover: kill ${before} → . *, done/`);
  await cluster.host(before).end();
  const { primary } = await cluster.serving(before);
  const backAt = performance.now();
  await appeared;
  // The page looks every 400 ms. The time is printed and not judged: a machine that is busy with other tests is slow.
  console.log(`the waterfall appeared ${Math.round(performance.now() - backAt)} ms after the service was back`);
  expect(await page.textContent("h3 >> text=Last failover")).toContain(`→ ${primary ?? ""}`);
  expect(await page.locator(".waterfall th[scope=row]").allTextContents()).toContain("start");
  expect(complaints).toEqual([]);
  await leave(context);
});

inBrowser("an operator orders a switchover after its dry run; keys suffice", async () => {
  const { context, page, complaints } = await visit("operator");
  const before = cluster.service().primary ?? "";
  await page.focus("text=Switch over");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=would take over from");
  await page.focus("button.primary");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=Done in");
  await cluster.serving(before);
  const rows = await until(async () => {
    const answer = await cluster.client.sql({
      sql: "select who, role, outcome from audit where path = '/v1/switchover'",
    });
    return answer.kind === "ok" && answer.value.rows.some(([, , outcome]) => outcome === "done") && answer.value.rows;
  });
  expect(rows).toContainEqual(["a-operator", "operator", "done"]);
  expect(complaints).toEqual([]);
  await leave(context);
});

inBrowser("without script every view is whole, and says that it stands still", async () => {
  const { context, page } = await visit("viewer", { javaScriptEnabled: false });
  for (const path of ["/", "/failovers", "/plan", "/events", "/data"]) {
    await page.goto(base + path);
    expect(await page.textContent("#link")).toContain("Live updates need script");
    expect(await page.textContent("main")).toContain("notes");
  }
  await leave(context);
});

inBrowser("axe finds nothing in any view, light or dark", async () => {
  const id = encodeURIComponent(cluster.service().failovers.at(-1)?.id ?? "");
  const paths = [
    "/",
    "/failovers",
    `/failovers/${id}`,
    "/plan",
    "/sight",
    "/drills",
    "/events",
    "/data",
    "/suspects",
    "/configuration",
  ];
  const orders = ["switchover", "maintenance", "drill"].map((kind) => `/orders/notes/${kind}`);
  const others = ["/sql?sql=select%20*%20from%20health", ...orders];
  const { context, page } = await visit("operator", { viewport: { width: 390, height: 844 }, bypassCSP: true });
  for (const path of [...paths, ...others, "sign in"]) {
    if (path === "sign in") await context.clearCookies();
    await page.goto(base + (path === "sign in" ? "/" : path));
    expect([path, await violationsIn(page)]).toEqual([path, []]);
  }
  await leave(context);
});
