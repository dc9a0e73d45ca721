/** A gateway with worker processes: real processes and sockets, fake hosts. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { selfCommand } from "../../../src/runtime/self-command.ts";
import { TestCluster, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(() => cluster.stop());

const worker = [...selfCommand(), "gateway-worker", "g1"] as const;

async function startWith(workers: number): Promise<void> {
  await cluster.addHost("a", { priority: 1 });
  await cluster.addHost("b");
  await cluster.startGateway({ workers, drainTimeoutMs: 5_000 }, { worker });
  await cluster.serving();
}

const workersOf = () => cluster.gateway?.status().workers ?? [];

/** One request on a connection of its own; the status, or the error's code. */
function askOnce(port: number, method = "GET"): Promise<number | string> {
  return new Promise((resolve) => {
    const outgoing = request({ port, host: "127.0.0.1", agent: false, method }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
      response.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    });
    outgoing.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    outgoing.end();
  });
}

function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => resolve(socket));
    socket.once("error", reject);
  });
}

test("every free worker takes connections, and every request is counted once", async () => {
  await startWith(3);
  const port = cluster.gateway?.port ?? 0;
  const sockets: Socket[] = [];
  // One after the other: of a burst one worker may take all, since the others are not awake yet.
  await until(async () => {
    if (sockets.length < 2_000) sockets.push(await opened(port));
    return workersOf().every(({ connections }) => connections > 0);
  });
  const before = cluster.service().requests.ok;
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once("data", () => resolve());
          socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        }),
    ),
  );
  await until(
    () =>
      cluster.service().requests.ok === before + sockets.length &&
      cluster.gateway?.status().connections === sockets.length,
  );
  expect(workersOf().map(({ state }) => state)).toEqual(["serving", "serving", "serving"]);
  for (const socket of sockets) socket.destroy();
});

test("a failover is seen by all workers, and no request fails", async () => {
  await startWith(2);
  const port = cluster.gateway?.port ?? 0;
  const outcomes: (number | string)[] = [];
  let going = true;
  const clients = Array.from({ length: 8 }, async () => {
    while (going) outcomes.push(await askOnce(port));
  });
  await until(() => outcomes.length > 50);
  cluster.host("a").signal("SIGKILL");
  await cluster.serving("a");
  const sofar = outcomes.length;
  await until(() => outcomes.length > sofar + 100);
  going = false;
  await Promise.all(clients);
  expect(outcomes.filter((outcome) => outcome !== 200)).toEqual([]);
  expect((await cluster.ask()).host).toBe("b");
});

test("a killed worker is replaced and reported, and the others continue meanwhile", async () => {
  await startWith(2);
  const port = cluster.gateway?.port ?? 0;
  const victim = workersOf()[0]?.pid ?? 0;
  process.kill(victim, "SIGKILL");
  const during: (number | string)[] = [];
  await until(async () => {
    during.push(await askOnce(port));
    const [first] = workersOf();
    return first?.state === "serving" && first.pid !== victim;
  });
  // Only what the killed one had accepted is lost; new connections are never refused.
  expect(during).not.toContain("ECONNREFUSED");
  expect(during.filter((outcome) => outcome === 200).length).toBeGreaterThan(0);
  expect(workersOf()[0]?.restarts).toBe(1);
  expect(
    cluster
      .service()
      .events.filter(({ what }) => what === "worker-lost")
      .map(({ detail }) => detail),
  ).toEqual([expect.stringMatching(/^worker 1: it was ended by SIGKILL; its connections are lost/)]);
  // The new one knows the route: connections of its own are answered too.
  const sockets = await Promise.all(Array.from({ length: 20 }, () => askOnce(port)));
  expect(new Set(sockets)).toEqual(new Set([200]));
});

test("while a worker hangs the others take new connections", async () => {
  await startWith(2);
  const port = cluster.gateway?.port ?? 0;
  const stopped = workersOf()[1]?.pid ?? 0;
  process.kill(stopped, "SIGSTOP");
  try {
    const answers = await Promise.all(Array.from({ length: 20 }, () => askOnce(port)));
    expect(new Set(answers)).toEqual(new Set([200]));
  } finally {
    process.kill(stopped, "SIGKILL");
  }
});

test("a configuration that is read again reaches all workers", async () => {
  await startWith(2);
  const port = cluster.gateway?.port ?? 0;
  const { config } = cluster;
  if (config === undefined) throw new Error("no configuration");
  const services = config.services.map((service) => ({ ...service, match: { host: undefined, path: "/app" } }));
  expect(cluster.gateway?.reload({ ...config, services })).toEqual({ kind: "applied" });
  await until(async () => new Set(await Promise.all(Array.from({ length: 20 }, () => askOnce(port)))).has(404));
  const answers = await Promise.all(Array.from({ length: 30 }, () => askOnce(port)));
  expect(new Set(answers)).toEqual(new Set([404]));
});

test("a stop finishes requests in flight and leaves no process", async () => {
  await cluster.addHost("a", { priority: 1 });
  await cluster.startGateway({ workers: 2, drainTimeoutMs: 5_000 }, { worker });
  const port = cluster.gateway?.port ?? 0;
  await cluster.serving();
  // A request whose body is not there yet is in flight.
  const socket = connect({ port, host: "127.0.0.1" });
  let answer = "";
  socket.on("data", (chunk: Buffer) => (answer += chunk.toString("latin1")));
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
  await until(() => cluster.gateway?.status().connections === 1);
  const pids = workersOf().map(({ pid }) => pid ?? 0);
  const stopped = cluster.gateway?.close(5_000);
  await until(async () => (await askOnce(port)) === "ECONNREFUSED");
  socket.write("llo");
  await until(() => answer.includes("\r\n\r\n"));
  expect(answer).toStartWith("HTTP/1.1 200");
  await stopped;
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
});
