/** A request that ends the application, on real processes: what it costs the others. */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "../../harness/cluster.ts";
import { demoApplication } from "../../harness/applications.ts";
import { type Bench, never, openBench } from "./harness.ts";

// Generous: this test waits for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

/** Ends with its process on /crash, and keeps count of its starts. */
const source = (starts: string): string => `
const fs = require("node:fs");
fs.appendFileSync(${JSON.stringify(starts)}, "x");
require("node:http").createServer((request, response) => {
  if (request.url.startsWith("/crash")) process.exit(3);
  response.end("ok");
}).listen(Number(process.env.PORT), "127.0.0.1");
`;

async function begin(): Promise<{ cluster: Cluster; url: string; starts: () => number }> {
  const file = join(bench.folder, "starts");
  const script = bench.write("application.cjs", source(file));
  const application = { ...demoApplication("notes", bench.folder), command: [process.execPath, script] as const };
  const cluster = await bench.cluster({ hosts: 3, application });
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  await cluster.whenWhole(30_000, never);
  const gateway = cluster.gateways[0];
  if (gateway === undefined) throw new Error("there is no gateway");
  const answers = async (): Promise<true | undefined> =>
    (await fetch(`${gateway.url}/notes`).catch(() => undefined))?.status === 200 ? true : undefined;
  await cluster.until("the gateway to serve", 30_000, never, () => "it does not answer", answers);
  return { cluster, url: gateway.url, starts: () => (existsSync(file) ? readFileSync(file, "utf8").length : 0) };
}

test("a request that ends the application costs two endings, no host, and no answer to another client", async () => {
  const { url, starts } = await begin();
  const statuses: number[] = [];
  let isOver = false;
  const others = Array.from({ length: 10 }, async () => {
    while (!isOver) {
      statuses.push((await fetch(`${url}/notes`)).status);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  const crash = async (): Promise<string> => `${(await fetch(`${url}/crash?${Math.random()}`)).status}`;
  const told = await Promise.all(Array.from({ length: 20 }, crash));
  expect(new Set(told)).toEqual(new Set(told.filter((status) => status === "502" || status === "503")));
  for (let i = 0; i < 40; i++) expect(await crash()).toBe("503");
  isOver = true;
  await Promise.all(others);
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(starts()).toBe(3);
});
