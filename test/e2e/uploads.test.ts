/**
 * Uploads that are too long for the gateway's memory, and whose primary is killed: in their middle, and before the
 * answer.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { demoApplication } from "../../harness/applications.ts";
import type { Cluster } from "../../harness/cluster.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Bench, never, openBench } from "./harness.ts";

// Generous: this test waits for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

const bytes = 20 * 2 ** 20;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

async function begin(workers: number): Promise<{ cluster: Cluster; url: string; spool: string }> {
  const ledger = demoApplication("ledger", bench.folder);
  const command = [ledger.command[0], join(import.meta.dirname, "uploads.py"), bench.folder] as const;
  const cluster = await bench.cluster({
    application: { ...ledger, command, database: "uploads.db", readyPath: "/" },
  });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  const spool = join(bench.folder, "spool");
  const config = readFileSync(gateway.configFile, "utf8").replace("[gateway]\n", `[gateway]\nworkers = ${workers}\n`);
  const replay = `\n[gateway.replay]\nspool = "96MiB"\nspool_folder = "${spool}"\n`;
  writeFileSync(gateway.configFile, config + replay, { mode: 0o600 });
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  await cluster.whenWhole(30_000, never);
  return { cluster, url: gateway.url, spool };
}

/** A POST that is sent in two parts. */
async function upload(url: string, content: Buffer): Promise<{ socket: Socket; answer: Promise<string> }> {
  const { port } = new URL(url);
  const socket = connect({ host: "127.0.0.1", port: Number(port), noDelay: true });
  await new Promise((resolve) => socket.once("connect", resolve));
  const answer = new Promise<string>((resolve, reject) => {
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (/\r\n\r\n./.test(received)) resolve(received);
    });
    socket.on("close", () => reject(new Error(`closed: ${received}`)));
  });
  socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${content.length}\r\n\r\n`);
  return { socket, answer };
}

const file = (name: string): string => join(bench.folder, name);

async function until(name: string): Promise<void> {
  while (!existsSync(file(name))) await systemClock.sleep(5);
}

async function killPrimary(cluster: Cluster): Promise<void> {
  const { process } = await cluster.whenWhole(30_000, never);
  process?.signal("SIGKILL");
  await process?.ended;
}

async function expectOnce(url: string, answer: Promise<string>, content: Buffer): Promise<void> {
  const sum = createHash("sha256").update(content).digest("hex");
  const received = await answer;
  expect(received).toStartWith("HTTP/1.1 201 ");
  expect(received).toEndWith(`"${sum}"`);
  expect(await (await fetch(url)).json()).toEqual([[sum, sum]]);
}

test.each([1, 2])("one in flight is sent again from its start, and stored once (workers: %d)", async (workers) => {
  const { cluster, url, spool } = await begin(workers);
  const content = randomBytes(bytes);
  const { socket, answer } = await upload(url, content);
  socket.write(content.subarray(0, bytes / 2));
  await until("begun");
  await killPrimary(cluster);
  socket.write(content.subarray(bytes / 2));
  await expectOnce(url, answer, content);
  expect(readdirSync(spool)).toEqual([]);
});

test("one that the application had and did not answer is sent again, and stored once", async () => {
  const { cluster, url } = await begin(1);
  writeFileSync(file("wait"), "");
  const content = randomBytes(bytes);
  const { socket, answer } = await upload(url, content);
  socket.write(content);
  await until("read");
  await killPrimary(cluster);
  rmSync(file("wait"));
  await expectOnce(url, answer, content);
});
