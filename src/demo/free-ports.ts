/**
 * Ports for the demo's processes, fixed for its whole run because a dead host comes back on its own.
 *
 * They lie below the ephemeral ranges (Linux from 32768, macOS from 49152): while a host is dead, its port must not be
 * taken as the source port of somebody's outgoing connection, nor can a connection to it connect to itself.
 */
import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

const portMin = 20_000;
const portMax = 31_999;
const attemptsMax = 500;

/** Distinct ports of 127.0.0.1 that are free right now. */
export async function freePorts(count: number): Promise<number[]> {
  const held: { port: number; server: Server }[] = [];
  try {
    for (let attempt = 0; held.length < count; attempt += 1) {
      if (attempt > attemptsMax) throw new Error(`found only ${held.length} of ${count} free ports from ${portMin} to ${portMax}`);
      const port = randomInt(portMin, portMax + 1);
      const server = await tryListen(port);
      if (server !== undefined) held.push({ port, server });
    }
    return held.map(({ port }) => port);
  } finally {
    await Promise.all(held.map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve()))));
  }
}

function tryListen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => resolve(server));
  });
}
