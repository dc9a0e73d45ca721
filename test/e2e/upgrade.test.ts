/**
 * SIGUSR2 to a real `stead gateway` in front of a plain host, under load: another process takes over, and no client
 * notices.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { connect } from "node:tls";
import { freePorts } from "../../src/runtime/free-ports.ts";
import { descendantsOf, livingOf } from "../../harness/process-table.ts";
import type { GroupProcess } from "../../harness/processes.ts";
import { selfCommand } from "../../src/runtime/self-command.ts";
import { certificateA } from "../support/http/certificates.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Bench, openBench, runStead } from "./harness.ts";
import { exchange, open, RawLoad } from "./raw-load.ts";

setDefaultTimeout(60_000);

let bench: Bench;
let backend: Server;
/** Answers to /slow are given when told. */
let answerSlow: (() => void)[] = [];
const bodyAfterMs = 10;
let port = 0;
let adminPort = 0;
let configFile = "";

beforeEach(async () => {
  bench = openBench();
  answerSlow = [];
  backend = createServer((request, response) => {
    request.resume();
    // Head and body apart, as applications without a buffer write them: many answers are in between at each moment.
    const answer = (): void => {
      response.writeHead(200, { "content-length": "5" }).flushHeaders();
      setTimeout(() => response.end("hello"), bodyAfterMs);
    };
    if (request.url === "/slow") answerSlow.push(answer);
    else request.once("end", answer);
  });
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  [port = 0, adminPort = 0] = await freePorts(2);
});

afterEach(async () => {
  await bench.close();
  backend.closeAllConnections();
  backend.close();
});

const configText = (workers: number, more = ""): string => `[cluster]
secret = "a-secret-of-the-tests-only"
[gateway]
id = "g1"
listen = "127.0.0.1:${port}"
admin = "127.0.0.1:${adminPort}"
database = "gateway.db"
drain = "5s"
workers = ${workers}
${more}
[[service]]
name = "notes"
[[service.host]]
id = "a"
control = "none"
url = "http://127.0.0.1:${(backend.address() as AddressInfo).port}"
`;

const logText = (): string => readFileSync(join(bench.folder, "gateway.log"), "utf8");
const countOf = (text: string): number =>
  existsSync(join(bench.folder, "gateway.log")) ? logText().split(text).length - 1 : 0;

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.sleep(5);
}

/** `ready`: an address without TLS. */
async function startGateway(workers: number, more = "", ready = port): Promise<GroupProcess> {
  configFile = bench.write("gateway.toml", configText(workers, more));
  const gateway = await bench.keeper.start(
    [...selfCommand(), "gateway", configFile],
    bench.folder,
    join(bench.folder, "gateway.log"),
  );
  await until(async () => {
    const socket = await open(ready).catch(() => null);
    if (socket === null) return false;
    const head = await exchange(socket, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    socket.destroy();
    return head.startsWith("HTTP/1.1 200");
  });
  return gateway;
}

/**
 * What the gateway says of itself when it sees the primary well again: a run of its own begins with a look at the
 * hosts.
 */
async function servingStatus(): Promise<unknown> {
  for (;;) {
    const { code, stdout } = await runStead(["status", "--json", "--gateway", `http://127.0.0.1:${adminPort}`], {
      cwd: bench.folder,
      env: { STEAD_SECRET: "a-secret-of-the-tests-only" },
    });
    if (code === 0) return JSON.parse(stdout) as unknown;
  }
}

const upgrade = (gateway: GroupProcess): void => void process.kill(gateway.pid, "SIGUSR2");

for (const workers of [1, 2]) {
  test(`three upgrades under load with ${workers} workers: not a refused, reset or failed request, and the process id stays`, async () => {
    const gateway = await startGateway(workers);
    const load = new RawLoad(port, 16);
    const slowSocket = await open(port);
    const slow = exchange(slowSocket, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    await until(() => load.answered > 200 && answerSlow.length === 1);
    for (let nth = 1; nth <= 3; nth++) {
      upgrade(gateway);
      await until(() => countOf("upgraded: the new process serves") === nth);
      const served = load.answered;
      await until(() => load.answered > served + 200);
      if (nth === 1) answerSlow[0]?.();
      await until(() => countOf("upgraded: the previous process is done") === nth);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(await slow).toStartWith("HTTP/1.1 200");
    slowSocket.destroy();
    expect(gateway.end).toBeUndefined();
    expect(await servingStatus()).toMatchObject({ gateway: "g1", troubles: [], services: [{ primary: "a" }] });
    const family = descendantsOf(gateway.pid);
    process.kill(gateway.pid, "SIGTERM");
    expect(await gateway.ended).toEqual({ code: 0, signal: null });
    expect(livingOf(family)).toEqual([]);
  });
}

/** New connections one after the other, until it is ended: what was answered, and why not. */
function tlsLoad(tlsPort: number): { readonly answered: () => number; end(): Promise<readonly string[]> } {
  let answered = 0;
  let going = true;
  const failures: string[] = [];
  const once = (): Promise<void> =>
    new Promise((resolve) => {
      let received = "";
      const socket = connect({ port: tlsPort, host: "127.0.0.1", rejectUnauthorized: false });
      socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
      socket.on("error", (error) => failures.push(error.message));
      socket.on("close", () => {
        if (received.startsWith("HTTP/1.1 200")) answered++;
        else failures.push(`got ${JSON.stringify(received.slice(0, 40))}`);
        resolve();
      });
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    });
  const clients = Array.from({ length: 4 }, async () => {
    while (going) await once();
  });
  return {
    answered: () => answered,
    async end() {
      going = false;
      await Promise.all(clients);
      return failures;
    },
  };
}

for (const workers of [1, 2]) {
  test(`listeners beside the first are passed on too: upgrades under load on a plain and a TLS one with ${workers} workers`, async () => {
    const [plain = 0, secure = 0] = await freePorts(2);
    const pem = bench.write("gateway.pem", `${certificateA.cert}${certificateA.key}`);
    const gateway = await startGateway(
      workers,
      [
        ...["[[gateway.listener]]", `listen = "127.0.0.1:${plain}"`],
        ...["[[gateway.listener]]", `listen = "127.0.0.1:${secure}"`, 'serve = "tls"'],
        ...["[gateway.tls]", `cert = "${pem}"`, `key = "${pem}"`],
      ].join("\n"),
      plain,
    );
    const [load, secured] = [new RawLoad(plain, 16), tlsLoad(secure)];
    await until(() => load.answered > 100 && secured.answered() > 20);
    for (let nth = 1; nth <= 3; nth++) {
      upgrade(gateway);
      await until(() => countOf("upgraded: the previous process is done") === nth);
      const [served, securely] = [load.answered, secured.answered()];
      await until(() => load.answered > served + 100 && secured.answered() > securely + 20);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(await secured.end()).toEqual([]);
    // The list of addresses is what the new process has inherited.
    writeFileSync(configFile, configText(workers));
    upgrade(gateway);
    await until(() => countOf(`this gateway listens on 127.0.0.1:${port}, 127.0.0.1:${plain}`) > 0);
    expect(await exchange(await open(plain), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).toStartWith(
      "HTTP/1.1 200",
    );
  }, 150_000);
}

test("a configuration that does not fit is refused, and the old process continues as if nothing had been asked", async () => {
  const gateway = await startGateway(1);
  const load = new RawLoad(port, 4);
  writeFileSync(configFile, `${configText(1)}nonsense = 1\n`);
  upgrade(gateway);
  await until(() => countOf("not upgraded") === 1);
  expect(logText()).toContain("not upgraded, the old process continues: the new process ended: exit code");
  writeFileSync(configFile, configText(1).replace('id = "g1"', 'id = "g2"'));
  upgrade(gateway);
  await until(() => countOf("not upgraded") === 2);
  expect(logText()).toContain('gateway.id = "g2"');
  writeFileSync(configFile, configText(1));
  const served = load.answered;
  await until(() => load.answered > served + 100);
  await load.stop();
  expect(load.failures).toEqual([]);
});

test("a new process that cannot begin is killed, and the one before has its administration and everything else again", async () => {
  const gateway = await startGateway(1);
  const load = new RawLoad(port, 4);
  // Valid, and impossible: no process may listen there.
  writeFileSync(configFile, configText(1).replace(`admin = "127.0.0.1:${adminPort}"`, 'admin = "192.0.2.1:7700"'));
  upgrade(gateway);
  await until(() => countOf("not upgraded") === 1);
  const served = load.answered;
  await until(() => load.answered > served + 100);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(await servingStatus()).toMatchObject({ services: [{ primary: "a", paused: false }] });
});

test("when the process that took over is killed, the one that was started ends too, so that it is started again", async () => {
  const gateway = await startGateway(1);
  upgrade(gateway);
  await until(() => countOf("upgraded: the previous process is done") === 1);
  const pid = Number(/upgraded: the new process serves[^\n]*pid=(\d+)/.exec(logText())?.[1]);
  process.kill(pid, "SIGKILL");
  expect((await gateway.ended).code).toBe(1);
  expect(logText()).toContain("the process that had taken over is gone: SIGKILL");
});

test("when the process that was started is killed, the one that took over ends and frees the port", async () => {
  const gateway = await startGateway(1);
  upgrade(gateway);
  await until(() => countOf("upgraded: the previous process is done") === 1);
  const family = descendantsOf(gateway.pid);
  process.kill(gateway.pid, "SIGKILL");
  await gateway.ended;
  await until(() => livingOf(family).length === 0);
  expect(
    await open(port).then(
      () => "open",
      (error: NodeJS.ErrnoException) => error.code,
    ),
  ).toBe("ECONNREFUSED");
});
