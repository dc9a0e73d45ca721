/** An application that writes head and body of its answers apart, and is killed in between: what clients see of it. */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Cluster } from "../../harness/cluster.ts";
import { demoApplication } from "../../harness/applications.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Bench, never, openBench } from "./harness.ts";
import { exchange, open } from "./raw-load.ts";

// Generous: this test waits for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

const clients = 8;

let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

async function begin(): Promise<{ cluster: Cluster; port: number }> {
  const [python] = demoApplication("ledger", bench.folder).command;
  const command = [python, join(import.meta.dirname, "two-writes.py"), bench.folder] as const;
  const cluster = await bench.cluster({
    application: { ...demoApplication("notes", bench.folder), command, readyPath: "/" },
  });
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  await cluster.whenWhole(30_000, never);
  return { cluster, port: Number(new URL(cluster.gateways[0]?.url ?? "").port) };
}

/** Clients that keep their connections, ask again and again, and want every answer whole. */
class Readers {
  readonly #answered = Array.from({ length: clients }, () => 0);
  readonly failures: string[] = [];
  #goesOn = true;
  readonly #done: Promise<unknown>;

  constructor(port: number) {
    this.#done = Promise.all(Array.from({ length: clients }, (_, nth) => this.#run(port, nth)));
  }

  /** Waits until each has more answers: a request that was lost once has been answered then. */
  async more(): Promise<void> {
    const before = [...this.#answered];
    const hasMore = (): boolean => this.#answered.every((count, nth) => count > (before[nth] ?? 0) + 1);
    while (!hasMore() && this.failures.length === 0) await systemClock.sleep(5);
  }

  stop(): Promise<unknown> {
    this.#goesOn = false;
    return this.#done;
  }

  async #run(port: number, nth: number): Promise<void> {
    let socket: Socket | undefined;
    while (this.#goesOn) {
      try {
        socket ??= await open(port);
        const head = await exchange(socket, "GET /read HTTP/1.1\r\nHost: a\r\n\r\n");
        this.#answered[nth] = (this.#answered[nth] ?? 0) + 1;
        if (!head.startsWith("HTTP/1.1 200 ")) this.failures.push(head);
      } catch (error) {
        this.failures.push(String(error));
        socket = undefined;
      }
    }
    socket?.destroy();
  }
}

/** The next answer to `method` ends between head and body, with its application or also with its host. */
function order(method: "GET" | "POST", victim: "application" | "host"): void {
  rmSync(join(bench.folder, "killed"), { force: true });
  writeFileSync(join(bench.folder, "order"), `${method} ${victim}`);
  renameSync(join(bench.folder, "order"), join(bench.folder, "kill"));
}

async function whenObeyed(): Promise<void> {
  while (!existsSync(join(bench.folder, "killed"))) await systemClock.sleep(5);
}

test("reads are answered whole when their application, or its host, is killed between head and body; a write is unknown", async () => {
  const { port } = await begin();
  const readers = new Readers(port);
  await readers.more();
  order("GET", "application");
  await whenObeyed();
  await readers.more();

  const socket = await open(port);
  const written = exchange(socket, "POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  await readers.more();
  expect(await written).toStartWith("HTTP/1.1 200 ");
  order("POST", "application");
  const lost = exchange(socket, "POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  await whenObeyed();
  expect(await lost).toMatch(/^HTTP\/1\.1 502 [^]*Stead-Outcome: unknown/);
  socket.destroy();
  await readers.more();

  order("GET", "host");
  await whenObeyed();
  await readers.more();
  await readers.stop();
  expect(readers.failures).toEqual([]);
});
