/**
 * Ports of the loopback interface on which another process will listen a moment later, or repeatedly as it is
 * restarted.
 *
 * They lie below the ephemeral ranges (Linux from 32768, macOS from 49152): until then, such a port must not become the
 * source port of an outgoing connection, and a connection to it must not connect to itself. Applications have a
 * separate range: while a member of a demo is down, no application may get its port.
 *
 * Two processes that draw at the same time may draw the same port, of which each then knows only when it listens there.
 * The workers of `bun test --parallel`, and what they start, draw all the time: each has ports of its own.
 */
import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

const ranges = { members: { min: 20_000, max: 25_999 }, applications: { min: 26_000, max: 31_999 } } as const;
const attemptsMax = 500;
/** Test workers beyond this number share ports. */
const workersMax = 8;
/**
 * The last ports that this process was given, oldest first. Nothing may listen at one yet, so it is not given
 * again before many others were.
 */
const given = new Set<number>();
const givenMax = 3_000 / workersMax;

/** Returns distinct ports that are free now at both loopback addresses: an application may listen at either. */
export async function freePorts(count: number, use: keyof typeof ranges = "members"): Promise<number[]> {
  const { min, max } = ranges[use];
  const held: { port: number; servers: readonly Server[] }[] = [];
  try {
    for (let attempt = 0; held.length < count; attempt += 1) {
      if (attempt > attemptsMax)
        throw new Error(`found only ${held.length} of ${count} free ports from ${min} to ${max}`);
      const port = drawPort(min, max, process.env["BUN_TEST_WORKER_ID"]);
      const servers = given.has(port) ? undefined : await tryListen(port);
      if (servers !== undefined) held.push({ port, servers });
    }
    return held.map(({ port }) => remember(port));
  } finally {
    await Promise.all(held.flatMap(({ servers }) => servers.map(close)));
  }
}

function drawPort(min: number, max: number, worker: string | undefined): number {
  if (worker === undefined) return randomInt(min, max + 1);
  return min + workersMax * randomInt((max + 1 - min) / workersMax) + (Number(worker) % workersMax);
}

function remember(port: number): number {
  given.add(port);
  for (const oldest of given) if (given.size > givenMax) given.delete(oldest);
  return port;
}

export async function freePort(use: keyof typeof ranges = "members"): Promise<number> {
  const [port] = await freePorts(1, use);
  if (port === undefined) throw new Error("freePorts gave fewer than it was asked for");
  return port;
}

/** True if `port` is free at the loopback addresses now. */
export async function isFreePort(port: number): Promise<boolean> {
  const servers = await tryListen(port);
  await Promise.all(servers?.map(close) ?? []);
  return servers !== undefined;
}

/** Returns undefined if the port is taken at one of the two addresses. */
async function tryListen(port: number): Promise<Server[] | undefined> {
  const first = await listenAt("127.0.0.1", port);
  if (typeof first === "string") return undefined;
  const second = await listenAt("::1", port);
  if (typeof second !== "string") return [first, second];
  // Any other error means that there is no IPv6 here, so the port cannot be taken there.
  if (second !== "EADDRINUSE") return [first];
  await close(first);
  return undefined;
}

/** Returns the error code if the port is not available. */
function listenAt(host: string, port: number): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

const close = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
