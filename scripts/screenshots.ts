/**
 * `./scripts/screenshots`: pictures of every view of the page in light, dark and the width of a phone, of a gateway
 * with three hosts that has been through a switchover and the loss of a primary, and of a large cluster.
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Browser } from "playwright-core";
import { listenApi } from "../src/control/server/listener.ts";
import { TestCluster, until } from "../test/support/gateway/cluster.ts";
import { findBrowser, startBrowser } from "../test/support/gateway/browser.ts";
import { largePage, largeToken } from "../test/support/gateway/large-page.ts";
import { readOptions } from "./lib/options.ts";

const values = readOptions({
  out: { type: "string", default: join(import.meta.dirname, "..", "dist", "screenshots") },
});
const out = resolve(String(values.out));
const found = findBrowser();
if (found.kind === "missing") {
  console.error(`screenshots: ${found.why}`);
  process.exit(1);
}
mkdirSync(out, { recursive: true });

const looks = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 } },
} as const;

/** Views by the name of their picture. */
async function takeAll(
  browser: Browser,
  base: string,
  token: string,
  views: ReadonlyMap<string, string>,
): Promise<void> {
  for (const [look, options] of Object.entries(looks)) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    await page.goto(`${base}/`);
    await page.screenshot({ path: join(out, `sign-in-${look}.png`) });
    await page.fill("#token", token);
    await page.click("button[type=submit]");
    for (const [name, path] of views) {
      await page.goto(`${base}${path}`);
      const overflow = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth",
      );
      if (overflow !== 0) console.log(`${name}, ${look}: wider than the window by ${String(overflow)} pixels`);
      await page.screenshot({ path: join(out, `${name}-${look}.png`), fullPage: true });
    }
    await context.close();
  }
}

const cluster = new TestCluster();
const browser = await startBrowser(found.program);
try {
  await Promise.all([
    cluster.addHost("a", { priority: 1, startMs: 120 }),
    cluster.addHost("b", { startMs: 120 }),
    cluster.addHost("c", { startMs: 120, nofailover: true }),
  ]);
  const gateway = await cluster.startGateway();
  await cluster.serving();
  const ask = setInterval(() => void cluster.ask().catch(() => undefined), 20);
  await cluster.client.switchover({ host: "b" });
  await cluster.client.switchover({ host: "a" });
  await cluster.host("a").end();
  await cluster.serving("a");
  await until(() => (cluster.service().failovers.at(-1)?.gapMs ?? null) !== null);
  clearInterval(ask);
  cluster.host("b").says({
    setAside: ["/var/lib/notes/set-aside/2026-11-02T09.14.22Z"],
    suspects: [{ method: "POST", path: "/import", endings: 2, trialInMs: 42_000, pauseMs: 120_000 }],
  });
  await until(() => cluster.service().hosts.some(({ suspects }) => suspects.length > 0));
  const made = gateway.tokens.add({ name: "night-shift", role: "operator", createdBy: "x", expiresAtMs: undefined });
  if (made.kind !== "added") throw new Error("no token");
  const id = encodeURIComponent(cluster.service().failovers.at(-1)?.id ?? "");
  const sql = encodeURIComponent("select gateway, service, host, health, cause, role, changed_at from health");
  const views = new Map([
    ["overview", "/"],
    ["failovers", "/failovers"],
    ["failover", `/failovers/${id}`],
    ["plan", "/plan"],
    ["sight", "/sight"],
    ["drills", "/drills"],
    ["events", "/events"],
    ["data", "/data"],
    ["suspects", "/suspects"],
    ["configuration", "/configuration"],
    ["sql", `/sql?sql=${sql}`],
    ["switchover", "/orders/notes/switchover"],
    ["maintenance", "/orders/notes/maintenance"],
    ["drain", "/orders/notes/drain"],
    ["drill", "/orders/notes/drill"],
    ["nothing", "/failovers/nothing"],
  ]);
  await takeAll(browser, `http://127.0.0.1:${gateway.adminPort}`, made.token, views);
  const largeCluster = await largePage();
  const large = await listenApi(largeCluster.app, { host: "127.0.0.1", port: 0 });
  const largeViews = new Map([
    ["large-overview", "/"],
    ["large-hosts", "/services/notes?page=2"],
    ["large-sight", "/sight"],
    ["large-failover", `/failovers/${largeCluster.newest}`],
    ["large-drills", "/drills"],
    ["large-reloads", "/configuration/reloads"],
    ["large-configuration", "/configuration"],
    ["large-failovers", "/failovers?page=20"],
  ]);
  await takeAll(browser, `http://127.0.0.1:${large.port}`, largeToken, largeViews);
  await large.close();
  await largeCluster.close();
} finally {
  await browser.close();
  await cluster.stop();
}
console.log(out);
