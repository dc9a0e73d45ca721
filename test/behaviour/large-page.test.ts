/**
 * The page of 50 hosts, 10 gateways and 1,000 failovers: what each view weighs and how many rows it has are bounded.
 * Times of rendering and of live updates are printed and not judged, since the machine has other work.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { type ApiListener, listenApi } from "../../src/control/server/listener.ts";
import { violationsIn } from "../support/gateway/axe.ts";
import { findBrowser, startBrowser } from "../support/gateway/browser.ts";
import { type LargePage, largePage, largeToken } from "../support/gateway/large-page.ts";

setDefaultTimeout(60_000);

const bytesMax = 150_000;
/** The largest is a failover with 50 candidates, 10 gateways, and everything that they recorded around it. */
const rowsMax = 150;
/** Of each view, to print how long one takes; the median. */
const renderings = 5;
const liveUpdates = 10;

const found = findBrowser();
if (found.kind === "missing") console.log(`live updates in a browser are not measured: ${found.why}`);

let large: LargePage;
let listener: ApiListener;
beforeAll(async () => {
  large = await largePage();
  listener = await listenApi(large.app, { host: "127.0.0.1", port: 0 });
});
afterAll(async () => {
  await listener.close();
  await large.close();
});

const views = (): readonly string[] => [
  "/",
  "/services/notes",
  "/failovers",
  "/failovers?page=40",
  `/failovers/${large.newest}`,
  "/plan",
  "/sight",
  "/drills",
  "/events",
  "/events?level=warning&page=60",
  "/data",
  "/suspects",
  "/configuration",
  "/configuration/reloads",
  "/sql?sql=select%20*%20from%20events",
  "/sql?sql=select%20zeroblob(100000)%20from%20events",
  "/orders/notes/switchover",
];

async function get(path: string): Promise<string> {
  const answer = await large.app.request(`http://g${path}`, { headers: { cookie: `stead_page=${largeToken}` } });
  expect([path, answer.status]).toEqual([path, 200]);
  return answer.text();
}

const kilobytes = (bytes: number): string => (bytes / 1_000).toFixed(1).padStart(6);

test("every view with all that a browser loads for it weighs less than 150 KB, and its tables have few rows", async () => {
  const assets = await Promise.all(["/page/style.css", "/page/live.js", "/page/icon.svg"].map(get));
  const assetBytes = Buffer.byteLength(assets.join(""));
  console.log(`files of every view: ${kilobytes(assetBytes)} KB`);
  for (const path of views()) {
    const times: number[] = [];
    let text = "";
    for (let turn = 0; turn < renderings; turn++) {
      const startedAt = performance.now();
      text = await get(path);
      times.push(performance.now() - startedAt);
    }
    const median = times.sort((a, b) => a - b)[renderings >> 1] ?? 0;
    const bytes = Buffer.byteLength(text);
    const rows = text.split("<tr").length - 1;
    console.log(
      `${kilobytes(bytes)} KB, compressed ${kilobytes(Bun.gzipSync(text).length)} KB, ${String(rows).padStart(3)} rows, rendered in ${median.toFixed(1).padStart(5)} ms: ${path}`,
    );
    expect([path, bytes + assetBytes < bytesMax, rows <= rowsMax]).toEqual([path, true, true]);
  }
});

/** Follows the links to the next page from a view on, and returns what `part` finds on all of them, in order. */
async function allPages(path: string, part: RegExp): Promise<readonly string[]> {
  const parts: string[] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const text = await get(next);
    parts.push(...[...text.matchAll(part)].map(([, found = ""]) => found));
    next = /href="([^"]+)" rel="next"/.exec(text)?.[1]?.replaceAll("&amp;", "&");
  }
  return parts;
}

test("pages lead to everything, each thing once", async () => {
  const hosts = await allPages("/services/notes", /<th scope="row">([^<]+)<\/th>/g);
  expect([hosts.length, new Set(hosts).size]).toEqual([50, 50]);
  const failovers = await allPages("/failovers", /href="\/failovers\/(g[^"]+)"/g);
  expect([failovers.length, new Set(failovers).size]).toEqual([1_000, 1_000]);
  const rows = await allPages("/sql?sql=select+id+from+failovers", /<td>(g[^<]+)<\/td>/g);
  expect([rows.length, new Set(rows).size]).toEqual([1_000, 1_000]);
  const settings = await allPages("/configuration", /<code>(services\.notes\.hosts\.[^<]+\.\w+)<\/code>/g);
  expect(new Set(settings).size).toBe(150);
});

/** In the browser. */
const beginCounting = `
  globalThis.longTasks = [];
  new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration)))
    .observe({ type: "longtask" });
  globalThis.updated = new Promise((resolve) => {
    let updates = 0;
    new MutationObserver(() => ++updates === ${liveUpdates} && resolve())
      .observe(document.getElementById("main"), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  0`;

test.skipIf(found.kind === "missing")("live updates arrive in a browser", async () => {
  if (found.kind === "missing") return;
  const browser = await startBrowser(found.program);
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${listener.port}/`);
  await page.fill("#token", largeToken);
  await page.click("button[type=submit]");
  await page.waitForSelector("#link.current");
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const busySeconds = async (): Promise<number> => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0;
  };
  for (const path of ["/", "/services/notes", "/plan", "/failovers"]) {
    await page.goto(`http://127.0.0.1:${listener.port}${path}`);
    await page.waitForSelector("#link.current");
    await page.evaluate(beginCounting);
    const isChanging = path === "/" || path.startsWith("/services/");
    const before = await busySeconds();
    if (isChanging) await page.evaluate("globalThis.updated");
    const busyMs = ((await busySeconds()) - before) * 1_000;
    const longTasks = await page.evaluate<number[]>("longTasks");
    console.log(
      `${path}: ${isChanging ? `${(busyMs / liveUpdates).toFixed(1)} ms of Chromium's main thread for an update, ` : ""}long tasks: ${longTasks.length === 0 ? "none" : longTasks.map((ms) => `${Math.round(ms)} ms`).join(", ")}`,
    );
  }
  await browser.close();
});

test.skipIf(found.kind === "missing")("axe finds nothing in what only an old and large cluster has", async () => {
  if (found.kind === "missing") return;
  const browser = await startBrowser(found.program);
  const page = await browser.newPage({ viewport: { width: 390, height: 844 }, bypassCSP: true });
  await page.goto(`http://127.0.0.1:${listener.port}/`);
  await page.fill("#token", largeToken);
  await page.click("button[type=submit]");
  await page.waitForSelector("h2");
  for (const path of ["/", "/data"]) {
    await page.goto(`http://127.0.0.1:${listener.port}${path}`);
    expect([path, await violationsIn(page)]).toEqual([path, []]);
  }
  await browser.close();
});
