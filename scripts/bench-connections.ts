/**
 * The cost of connections: resident memory with 10,000 idle ones, with 10,000 held requests, and while a slow reader
 * gets 100 MiB; and the time of an ordinary request beside 200 slow heads, 200 slow bodies and 5,000 idle connections.
 *
 * The data plane is a process of its own; memory is VmRSS of /proc. `--connections N` (10000), `--json`: last line
 * `{"connections","idle":{"rss_mib","kib_each"},"held":{"rss_mib","kib_each","answered"},"slow_reader":{"growth_mib"},
 * "crowd":{"p50_ms","p99_ms","requests"}}`. Goals: 100 ms at p99, and less than 64 MiB of growth.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { parseBenchArguments, percentile, rounded } from "./bench-support.ts";

const { connections, json } = parseBenchArguments({ connections: 10_000 });
const children: ChildProcess[] = [];
const bigBytes = 100 * 2 ** 20;

const backend = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    if (!chunk.toString("latin1").startsWith("GET /big"))
      return void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bigBytes}\r\n\r\n`);
    const piece = Buffer.alloc(2 ** 20);
    let left = bigBytes / piece.length;
    const more = (): void => {
      while (left-- > 0) if (!socket.write(piece)) return void socket.once("drain", more);
    };
    more();
  });
});
await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));

async function start(held: "open" | "held"): Promise<{ port: number; child: ChildProcess; rssMib(): number }> {
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, "proxy-bench/connections-child.ts"),
      String((backend.address() as AddressInfo).port),
      held,
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  children.push(child);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return {
    port: Number(line.toString()),
    child,
    rssMib: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid ?? 0}/status`, "utf8"))?.[1]) / 1024,
  };
}

async function open(port: number, count: number, first = ""): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(200, count - sockets.length) }, async () => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      socket.on("error", () => undefined);
      await once(socket, "connect");
      if (first !== "") socket.write(first);
      return socket;
    });
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const endAll = (sockets: readonly Socket[]): void => sockets.forEach((socket) => socket.destroy());

async function idle() {
  const { port, child, rssMib } = await start("open");
  const before = rssMib();
  const sockets = await open(port, connections, get);
  await Promise.all(sockets.map(async (socket) => (socket.bytesRead > 0 ? undefined : once(socket, "data"))));
  await pause(500);
  const rss = rssMib();
  endAll(sockets);
  child.kill("SIGKILL");
  return { rss_mib: rounded(rss, 1), kib_each: rounded(((rss - before) * 1024) / connections, 1) };
}

async function heldRequests() {
  const { port, child, rssMib } = await start("held");
  const before = rssMib();
  const sockets = await open(port, connections, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  await pause(1_000);
  const rss = rssMib();
  const answers = sockets.map((socket) => once(socket, "data"));
  child.stdin?.write("open\n");
  const answered = (await Promise.all(answers)).filter(([data]) =>
    (data as Buffer).toString("latin1").startsWith("HTTP/1.1 200"),
  ).length;
  endAll(sockets);
  child.kill("SIGKILL");
  return { rss_mib: rounded(rss, 1), kib_each: rounded(((rss - before) * 1024) / connections, 1), answered };
}

async function slowReader() {
  const { port, child, rssMib } = await start("open");
  const before = rssMib();
  let highest = before;
  const [socket] = await open(port, 1, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  if (socket === undefined) throw new Error("no connection");
  let received = 0;
  for await (const chunk of socket) {
    received += (chunk as Buffer).length;
    highest = Math.max(highest, rssMib());
    await pause(2);
  }
  child.kill("SIGKILL");
  if (received < bigBytes) throw new Error(`only ${received} bytes came`);
  return { growth_mib: rounded(highest - before, 1) };
}

async function crowd() {
  const { port, child } = await start("open");
  const sockets = [
    ...(await open(port, 5_000)),
    ...(await open(port, 200, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")),
    ...(await open(port, 200, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx")),
  ];
  const [ordinary] = await open(port, 1);
  if (ordinary === undefined) throw new Error("no connection");
  const latencies: number[] = [];
  for (const until = performance.now() + 4_000; performance.now() < until; await pause(2)) {
    const startedAt = performance.now();
    ordinary.write(get);
    await once(ordinary, "data");
    latencies.push(performance.now() - startedAt);
  }
  endAll([...sockets, ordinary]);
  child.kill("SIGKILL");
  latencies.sort((a, b) => a - b);
  return {
    p50_ms: rounded(percentile(latencies, 0.5)),
    p99_ms: rounded(percentile(latencies, 0.99)),
    requests: latencies.length,
  };
}

try {
  const result = {
    connections,
    idle: await idle(),
    held: await heldRequests(),
    slow_reader: await slowReader(),
    crowd: await crowd(),
  };
  process.stdout.write(
    `${connections} idle connections: ${result.idle.rss_mib} MiB resident, ${result.idle.kib_each} KiB each\n`,
  );
  process.stdout.write(
    `${connections} held requests: ${result.held.rss_mib} MiB resident, ${result.held.kib_each} KiB each; ${result.held.answered} answered after the release\n`,
  );
  process.stdout.write(
    `100 MiB through a slow reader: ${result.slow_reader.growth_mib} MiB more resident memory at most (goal: less than 64)\n`,
  );
  process.stdout.write(
    `an ordinary request beside 200 slow heads, 200 slow bodies, 5,000 idle: p50 ${result.crowd.p50_ms} ms, p99 ${result.crowd.p99_ms} ms (goal: 100)\n`,
  );
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  for (const child of children) child.kill("SIGKILL");
  backend.close();
}
process.exit(0);
